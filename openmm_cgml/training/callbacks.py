"""What happens around the steps: history, selection of weights, checkpoints, interruption, progress."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from openmm_cgml.interruption import Interruption
from openmm_cgml.storage import write_atomically
from openmm_cgml.training.checkpoints import write_checkpoint
from openmm_cgml.training.config import TrainingConfig
from openmm_cgml.training.module import ForceMatching
from openmm_cgml.training.plots import plot_losses

CSV = "metrics.csv"
PICTURE = "loss.png"
_PICTURE_INTERVAL = 10.0  # seconds


class TrainingStoppedError(Exception):
    """Leaves Lightning after a signal, with the checkpoint written."""


class History(lightning.Callback):
    """One row of metrics per epoch, in `metrics.csv`, TensorBoard and a picture.

    Args:
        folder: Where to write.

    Attributes:
        rows: Metrics of every epoch, by name.
    """

    def __init__(self, folder: Path) -> None:
        self.rows: list[dict[str, float]] = []
        self._folder = folder
        self._drawn = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Add the row of this epoch."""
        module: ForceMatching = pl_module
        row: dict[str, float] = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        row["learning_rate"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        row |= {f"train_{name}": value for name, value in module.training_losses.items()}
        row |= {f"validation_{name}": value for name, value in module.validation.items()}
        self.rows.append(row)
        write_atomically(self._folder / CSV, _csv(self.rows))
        if time.monotonic() - self._drawn > _PICTURE_INTERVAL:
            self._draw()
        if trainer.logger is not None:
            trainer.logger.log_metrics(
                {k: v for k, v in row.items() if k not in ("epoch", "step")}, step=trainer.global_step
            )

    def on_train_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Draw the picture of the whole training."""
        if self.rows:
            self._draw()

    def state_dict(self) -> dict[str, Any]:
        """The rows."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows back; later ones of an interrupted run are dropped with the next epoch."""
        self.rows = [dict(row) for row in state_dict["rows"]]

    def _draw(self) -> None:
        plot_losses(self.rows, self._folder / PICTURE)
        self._drawn = time.monotonic()


class Selection(lightning.Callback):
    """Keeps the best averaged weights, lowers the learning rate on plateaus, and stops early.

    Args:
        config: Which of these to do.

    Attributes:
        best_loss: Smallest validation objective.
        best_epoch: Its epoch, from 1; 0 before the first.
        weights: The averaged weights of that epoch.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.best_loss = math.inf
        self.best_epoch = 0
        self.weights: dict[str, torch.Tensor] = {}
        self._config = config
        self._waited = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Stop at once if a resumed training had stopped."""
        self._stop_early(trainer, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Compare the validation loss with the best so far."""
        module: ForceMatching = pl_module
        epoch, loss = trainer.current_epoch + 1, module.validation["objective"]
        if loss < self.best_loss:
            self.best_loss, self.best_epoch, self._waited = loss, epoch, 0
            self.weights = {name: tensor.detach().clone() for name, tensor in module.average.state_dict().items()}
        else:
            self._waited += 1
        if self._config.schedule == "plateau" and self._waited and self._waited % self._config.plateau_patience == 0:
            module.rate_factor /= 2
        self._stop_early(trainer, epoch)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the settings."""
        return {
            "best_loss": self.best_loss, "best_epoch": self.best_epoch, "waited": self._waited, "weights": self.weights
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        self.best_loss, self.best_epoch = state_dict["best_loss"], state_dict["best_epoch"]
        self._waited, self.weights = state_dict["waited"], dict(state_dict["weights"])

    def _stop_early(self, trainer: lightning.Trainer, epoch: int) -> None:
        patience = self._config.early_stopping
        if patience is not None and self.best_epoch and epoch - self.best_epoch >= patience:
            trainer.should_stop = True


class Checkpoints(lightning.Callback):
    """Writes a checkpoint after every epoch, every so many steps, and when a signal asks to stop.

    Args:
        folder: Folder of the checkpoints.
        identity: Digests of what must not change on resuming.
        interval: Steps between checkpoints within an epoch, or None.
        interruption: Tells of signals.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, str], interval: int | None, interruption: Interruption
    ) -> None:
        self._folder, self._identity, self._interval = folder, identity, interval
        self._interruption = interruption

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Within an epoch; its last step is left to the end of the epoch, after the validation."""
        if batch_idx + 1 >= trainer.num_training_batches:
            return
        stop = self._interruption.is_requested
        if stop or (self._interval and trainer.global_step % self._interval == 0):
            self._write(trainer)
        if stop:
            raise TrainingStoppedError

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """After an epoch."""
        self._write(trainer)
        if self._interruption.is_requested:
            raise TrainingStoppedError

    def state_dict(self) -> dict[str, Any]:
        """State of torch's random numbers."""
        return {"rng": torch.get_rng_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        torch.set_rng_state(state_dict["rng"].cpu())

    def _write(self, trainer: lightning.Trainer) -> None:
        write_checkpoint(self._folder, trainer.global_step, self._identity, trainer.save_checkpoint)


class ProgressReport(lightning.Callback):
    """A bar with losses and time left on a terminal, a line per epoch elsewhere; on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar: Progress | None = None
        self._task: Any = None
        self._clock = time.monotonic()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Show the bar."""
        self._clock = time.monotonic()
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"))
            self._bar = Progress(*columns, TimeRemainingColumn(), TextColumn("left"), console=self._console)
            self._bar.start()
            total = int(trainer.num_training_batches) * int(trainer.max_epochs or 1)
            self._task = self._bar.add_task("training", total=total, completed=trainer.global_step)

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Show the losses."""
        module: ForceMatching = pl_module
        seconds, self._clock = time.monotonic() - self._clock, time.monotonic()
        left = seconds * (int(trainer.max_epochs or 1) - trainer.current_epoch - 1)
        text = (
            f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}: force rmse [kJ/mol/nm] "
            f"{module.training_losses['force_rmse']:.2f} train, {module.validation['force_rmse']:.2f} validation"
        )
        if self._bar is not None:
            self._bar.update(self._task, description=text)
        else:
            self._console.print(f"{text}; {seconds:.0f} s, about {left:.0f} s left", highlight=False, soft_wrap=True)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Leave the bar as it is."""
        self._stop()

    def on_exception(self, trainer: lightning.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Leave the bar as it is."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _csv(rows: list[dict[str, float]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(columns)]
    lines += [",".join(f"{row[name]:.9g}" if name in row else "" for name in columns) for row in rows]
    return "\n".join(lines) + "\n"

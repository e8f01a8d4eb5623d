"""The Lightning module: loss, averaged weights, learning rate."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch import Tensor

from openmm_cgml.errors import TrainingError
from openmm_cgml.networks import SchNet
from openmm_cgml.training.batches import Batch
from openmm_cgml.training.config import TrainingConfig
from openmm_cgml.training.data import Scales
from openmm_cgml.training.pair_slopes import compute_slopes, pair_forces


@dataclass(frozen=True, eq=False)
class Losses:
    """Loss of one batch, its parts in physical units.

    Attributes:
        objective: What is minimized: forces in units of their variance, plus the energy term.
        forces: Mean squared error per component of the forces trained on [(kJ/mol/nm)^2].
        energies: Mean squared error of the energy per bead [(kJ/mol)^2], or None.
    """

    objective: Tensor
    forces: Tensor
    energies: Tensor | None


class ForceMatching(lightning.LightningModule):
    """Trains a network on the forces the priors leave over.

    Args:
        network: The network, changed in place.
        config: Loss and optimizer.
        scales: Variances of the training labels.
        n_steps: Optimizer steps of the whole training.

    Attributes:
        network: The network that is trained.
        average: Exponential average of its weights, which is validated and exported.
        validation: Losses of the last validation, by name.
        training_losses: Mean losses of the present epoch, by name.
        rate_factor: Factor of the learning rate, lowered by the "plateau" schedule.
    """

    def __init__(self, network: SchNet, config: TrainingConfig, scales: Scales, *, n_steps: int) -> None:
        super().__init__()
        self.network = network
        self.average = copy.deepcopy(network).requires_grad_(False)
        self.validation: dict[str, float] = {}
        self.training_losses: dict[str, float] = {}
        self.rate_factor = 1.0
        self._config, self._scales, self._n_steps = config, scales, n_steps
        self._sums = _Sums()
        self._validation_sums = _Sums()
        self._frames: tuple[Any, ...] = ()

    def losses(self, network: SchNet, batch: Batch, *, create_graph: bool) -> Losses:
        """Loss of a network on a batch.

        Args:
            network: The network or its average.
            batch: Frames.
            create_graph: Whether the loss can be differentiated.
        """
        config, scales = self._config, self._scales
        slopes = compute_slopes(network, batch, n_knots=config.filter_knots, create_graph=create_graph)
        n_beads = len(batch.bead_types)
        inter = pair_forces(slopes.inter, batch.inter, n_beads)
        intra = pair_forces(slopes.intra, batch.intra, n_beads)
        weights = batch.weights[batch.frame_of_bead][:, None]
        if config.target == "split":
            assert batch.forces_inter is not None
            forces = _mean_square(inter - batch.forces_inter, weights)
            objective = forces / scales.inter
            if len(batch.intra.first):
                rest = _mean_square(intra - (batch.forces - batch.forces_inter), weights)
                forces, objective = forces + rest, objective + rest / scales.intra
        else:
            forces = _mean_square(inter + intra - batch.forces, weights)
            objective = forces / scales.forces
        energies = None
        if batch.energies is not None and config.energy_weight and bool((known := batch.energies.isfinite()).any()):
            counts = torch.bincount(batch.frame_of_bead, minlength=batch.n_frames)[known]
            totals = batch.energies.new_zeros(batch.n_frames).index_add(0, batch.frame_of_bead, slopes.energies)
            errors = totals[known] - batch.energies[known]
            energies = (errors / counts).square().mean()
            objective = objective + config.energy_weight * self._energy_term(errors, counts)
        return Losses(objective, forces, energies)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Loss of one batch.

        Raises:
            TrainingError: If it is not finite; the message names the frames.
        """
        self._frames = batch.frames
        losses = self.losses(self.network, batch, create_graph=True)
        if not bool(torch.isfinite(losses.objective)):
            raise TrainingError(self._not_finite("loss"))
        self._sums.add(losses, batch.n_frames)
        return losses.objective

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Limit the norm of the gradient.

        Raises:
            TrainingError: If it is not finite; the message names the frames.
        """
        limit = self._config.gradient_clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        if not bool(torch.isfinite(norm)):
            raise TrainingError(self._not_finite("gradient"))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; the learning rate is set before every step."""
        config = self._config
        return torch.optim.AdamW(self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)

    def learning_rate(self, step: int) -> float:
        """Learning rate of step number `step`, a function of the step (and of past validations for "plateau") alone."""
        config = self._config
        return config.learning_rate * self.rate_factor * _schedule(config.schedule, step / max(self._n_steps - 1, 1))

    def on_train_batch_start(self, batch: Batch, _: int) -> None:
        """Set the learning rate."""
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.learning_rate(self.global_step)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then update the averaged weights: before any callback can write a checkpoint."""
        step = self.global_step + 1
        super().optimizer_step(*args, **kwargs)
        decay = min(self._config.ema_decay, step / (step + 9))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - decay)

    def on_train_start(self) -> None:
        """Choose the order of batches, also of an epoch that is resumed in its middle."""
        self.trainer.train_dataloader.set_epoch(self.current_epoch)

    def on_train_epoch_start(self) -> None:
        """Choose the order of batches and start new means."""
        self.trainer.train_dataloader.set_epoch(self.current_epoch)
        self._sums = _Sums()

    def on_validation_epoch_start(self) -> None:
        """Start new means; the training means of this epoch are complete now."""
        self.training_losses = self._sums.means()
        self._validation_sums = _Sums()

    def validation_step(self, batch: Batch, _: int) -> None:
        """Add the losses of the averaged network."""
        self._validation_sums.add(self.losses(self.average, batch, create_graph=False), batch.n_frames)

    def on_validation_epoch_end(self) -> None:
        """Keep the mean losses.

        Raises:
            TrainingError: If they are not finite.
        """
        self.validation = self._validation_sums.means()
        if not all(map(math.isfinite, self.validation.values())):
            raise TrainingError(
                f"the validation loss is {self.validation}; lower the learning rate, or look at the data"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is not a weight."""
        checkpoint["force_matching"] = {
            "sums": self._sums.state(),
            "rate_factor": self.rate_factor,
            "training_losses": self.training_losses,
            "validation": self.validation,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back."""
        state = checkpoint["force_matching"]
        self._sums = _Sums(*state["sums"])
        self.rate_factor = state["rate_factor"]
        self.training_losses, self.validation = state["training_losses"], state["validation"]

    def _energy_term(self, errors: Tensor, counts: Tensor) -> Tensor:
        kind, scales = self._config.energy_normalization, self._scales
        if kind == "relative":
            return errors.square().mean() / scales.energies
        return (errors / counts if kind == "per_bead" else errors).square().mean() / scales.forces

    def _not_finite(self, what: str) -> str:
        frames = ", ".join(f"{frame} of dataset {part + 1}" for part, frame in self._frames)
        return (
            f"the {what} is not finite at step {self.global_step} (epoch {self.current_epoch + 1}), frames {frames}; "
            "the last checkpoint is kept. Lower training.learning_rate or training.gradient_clip; look at these frames"
        )


class _Sums:
    """Sums of losses over the frames of an epoch."""

    def __init__(self, *state: float) -> None:
        self._state = list(state) or [0.0] * 5

    def add(self, losses: Losses, n_frames: int) -> None:
        self._state[0] += n_frames
        self._state[1] += n_frames * float(losses.objective.detach())
        self._state[2] += n_frames * float(losses.forces.detach())
        if losses.energies is not None:
            self._state[3] += n_frames
            self._state[4] += n_frames * float(losses.energies.detach())

    def means(self) -> dict[str, float]:
        n, objective, forces, n_energies, energies = self._state
        means = {"objective": objective / max(n, 1), "force_rmse": math.sqrt(forces / max(n, 1))}
        if n_energies:
            means["energy_rmse_per_bead"] = math.sqrt(energies / n_energies)
        return means

    def state(self) -> list[float]:
        return list(self._state)


def _mean_square(errors: Tensor, weights: Tensor) -> Tensor:
    return (weights * errors.square()).mean()


def _schedule(kind: str, progress: float) -> float:
    """Factor of the learning rate at a fraction of the training."""
    if kind == "cosine":
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))
    if kind == "one_cycle":
        if progress < 0.3:
            return 1 - 0.96 * 0.5 * (1 + math.cos(math.pi * progress / 0.3))
        return 1e-4 + (1 - 1e-4) * 0.5 * (1 + math.cos(math.pi * (progress - 0.3) / 0.7))
    return 1.0

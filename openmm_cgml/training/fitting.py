"""`fit`: from datasets to a force field."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.force_field.manifest import Manifest, TrainingSummary
from openmm_cgml.interruption import Interruption
from openmm_cgml.networks import SchNet, build_network
from openmm_cgml.priors import report_priors
from openmm_cgml.storage import OutputKind, check_output, hold_output, write_json
from openmm_cgml.training.callbacks import Checkpoints, History, ProgressReport, Selection, TrainingStoppedError
from openmm_cgml.training.checkpoints import TrainingCheckpoint, find_checkpoint
from openmm_cgml.training.config import FitConfig
from openmm_cgml.training.data import FitData, FitDataModule, manifest_summary, prepare_data
from openmm_cgml.training.metrics import fit_metrics
from openmm_cgml.training.module import ForceMatching
from openmm_cgml.training.output import fit_output_scale, zero_output
from openmm_cgml.training.plots import plot_priors

OUTPUT = OutputKind(
    verb="fit",
    marker="fit.json",
    members=(
        "force_field", "checkpoints", "tensorboard", "metrics.json", "metrics.csv", "loss.png", "priors-report.json",
        "priors.png",
    ),
)  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class FitResult:
    """What `fit` made.

    Attributes:
        force_field: Priors and network.
        path: Its folder.
        metrics: Errors on train, validation and test data, and against mean forces, as in `metrics.json`.
        history: Metrics of every epoch, as in `metrics.csv`.
        best_epoch: Epoch with the smallest validation loss, from 1; None without a network.
    """

    force_field: ForceField
    path: Path
    metrics: dict[str, Any]
    history: tuple[dict[str, float], ...]
    best_epoch: int | None


def fit(
    config: FitConfig,
    output: str | os.PathLike[str],
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> FitResult:
    """Fit priors and train a network, if one is asked for, on the forces they leave over.

    Writes `force_field/`, `metrics.json`, `metrics.csv`, `loss.png`, `priors-report.json` and `priors.png` (the priors
    beside the data), `fit.json` (the resolved configuration), TensorBoard logs and checkpoints into `output`. Ctrl-C
    and SIGTERM write a checkpoint first.

    Args:
        config: Data, priors, network, training.
        output: Folder to write into.
        resume: Go on from the last checkpoint in `output`; on one CPU thread the result is bit-identical to that of an
            uninterrupted run.
        overwrite: Replace what is in `output`.
        progress: Show progress on standard error.

    Raises:
        InputError: If the configuration, the data or a checkpoint do not fit each other.
        TrainingError: If a loss or gradient is not finite.
        OutputExistsError: If `output` holds something and neither flag is set.
        KeyboardInterrupt: After Ctrl-C, with a checkpoint written.
        SystemExit: After SIGTERM, likewise.
    """
    config = _resolve_device(config)
    given = config.data
    place: dict[str, Any] = {
        "overwrite": overwrite,
        "resume": resume,
        "inputs": [*given.datasets, *given.mean_force_training, *given.mean_force_test],
    }
    check_output(output, OUTPUT, **place)
    data = prepare_data(config)  # everything that can be refused is refused before anything is written
    architectures = data.architectures
    identity = {**config.identity(), **data.identity()}
    output = Path(output)
    checkpoint = find_checkpoint(output / "checkpoints", identity) if resume else None
    with hold_output(output, OUTPUT, **place), _threads(config.training.threads):
        write_json(output / "fit.json", config.model_dump(mode="json"))
        _write_prior_report(data, output)
        network, rows, best_epoch, scales = None, [], None, None
        if config.network is not None:
            module, history, selection = _train(config, data, output, identity, checkpoint, progress)
            network = _selected(config, data, module, selection)
            rows, best_epoch = history.rows, selection.best_epoch
            scales = _scale_output(config, data, network)
        metrics = fit_metrics(network, data, n_knots=config.training.filter_knots)
        if best_epoch is not None:
            metrics |= {"best_epoch": best_epoch, "output_scale": scales}
        write_json(output / "metrics.json", metrics)
        force_field = ForceField(
            priors=data.priors,
            network=None if network is None else network.float(),
            templates=data.templates,
            chains=data.chains,
            architectures=architectures,
            type_names=data.type_names,
            manifest=_manifest(config, data, metrics),
        )
        metrics["holes_below_data"] = {"-".join(s.types): s.hole for s in force_field.scan_short_range() if s.hole}
        write_json(output / "metrics.json", metrics)
        path = force_field.save(output / "force_field", overwrite=True)
    return FitResult(
        force_field=force_field,
        path=path,
        metrics=metrics,
        history=tuple(rows),
        best_epoch=best_epoch,
    )


def _resolve_device(config: FitConfig) -> FitConfig:
    wanted = config.training.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "training.device is cuda, but torch finds no CUDA device; set it to cpu or auto, or install a CUDA build "
            "of torch (`openmm-cgml doctor` says what is there)"
        )
    device = wanted if wanted != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    return config.model_copy(update={"training": config.training.model_copy(update={"device": device})})


def _write_prior_report(data: FitData, output: Path) -> None:
    """The priors beside the frames that they were fitted to; before training, so that bad ones are seen in time."""
    first = data.datasets[0]
    frames = first.frames(np.array([frame for part, frame in data.keys["train"] if part == 0]))
    report = report_priors(data.priors, first.topology, frames, first.temperature)
    write_json(output / "priors-report.json", report.to_dict())
    plot_priors(report, output / "priors.png")


def _train(
    config: FitConfig,
    data: FitData,
    output: Path,
    identity: dict[str, str],
    checkpoint: TrainingCheckpoint | None,
    progress: bool,
) -> tuple[ForceMatching, History, Selection]:
    training = config.training
    torch.manual_seed(training.seed)
    loaders = FitDataModule(data, batch_size=training.batch_size, seed=training.seed)
    n_batches = len(loaders.train_dataloader())
    network = _new_network(config, data)
    zero_output(network)
    module = ForceMatching(network, training, data.scales, n_steps=n_batches * training.epochs)
    history, selection = History(output), Selection(training)
    for message in checkpoint.rejected if checkpoint else ():
        warnings.warn(f"an older checkpoint is used: {message}", stacklevel=3)
    with Interruption() as interruption, _quiet_lightning():
        trainer = lightning.Trainer(
            max_epochs=training.epochs,
            accelerator="gpu" if training.device == "cuda" else "cpu",
            devices=1,
            logger=TensorBoardLogger(output, name="tensorboard", version=""),
            callbacks=[
                history,
                selection,
                *([ProgressReport()] if progress else []),
                Checkpoints(output / "checkpoints", identity, training.checkpoint_interval, interruption),
            ],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            inference_mode=False,
            log_every_n_steps=1,
        )
        with contextlib.suppress(TrainingStoppedError):
            trainer.fit(module, datamodule=loaders, ckpt_path=checkpoint and str(checkpoint.path), weights_only=True)
    interruption.raise_again()
    return module, history, selection


def _scale_output(config: FitConfig, data: FitData, network: SchNet) -> dict[str, float]:
    """Scale the output by frames that were not trained on, if there are any of the same kind."""
    keys = [key for key in data.keys["validation"] if data.datasets[key[0]].kind != "mean-force"]
    return fit_output_scale(network, data.store, keys, n_knots=config.training.filter_knots) if keys else {}


def _new_network(config: FitConfig, data: FitData) -> SchNet:
    assert config.network is not None  # there is nothing to train otherwise
    network = build_network(config.network.kind, config.network.model_dump(), len(data.type_names))
    return network.to(getattr(torch, config.training.precision))


def _selected(config: FitConfig, data: FitData, module: ForceMatching, selection: Selection) -> SchNet:
    """The averaged network of the chosen epoch, on the CPU."""
    network = _new_network(config, data)
    chosen = (
        selection.weights if config.training.select == "best" and selection.weights else module.average.state_dict()
    )
    network.load_state_dict(chosen)
    return network.cpu().requires_grad_(False)


def _manifest(config: FitConfig, data: FitData, metrics: dict[str, Any]) -> Manifest:
    settings = config.model_dump(mode="json", exclude={"data": {"datasets", "mean_force_training", "mean_force_test"}})
    offsets = {} if data.offset is None else dict(zip(data.type_names, map(float, data.offset), strict=True))
    return Manifest(
        name=config.name,
        description=config.description,
        license=config.license,
        limitations=config.limitations,
        training=TrainingSummary(**manifest_summary(data), settings=settings, metrics=metrics),
        energy_offsets=offsets,
    )


@contextlib.contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Lightning without its remarks, and with our handlers of signals left in place."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        logger.setLevel(level)

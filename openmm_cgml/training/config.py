"""What a fit runs with: data, priors, network and training, one YAML file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from openmm_cgml.config import Config, Length, read_config, read_yaml
from openmm_cgml.engine.tables import N_KNOTS
from openmm_cgml.networks import SchNetConfig
from openmm_cgml.priors import PriorConfig


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str | Path) else value


Paths = Annotated[tuple[Path, ...], pydantic.BeforeValidator(_as_tuple)]


class DataConfig(Config):
    """Datasets of a fit; each entry is one path or a list of them.

    Attributes:
        datasets: Force-matching datasets, split by blocks into train, validation and test.
        mean_force_training: Mean-force datasets added to the training frames.
        mean_force_weight: Weight of a mean-force frame in the loss, relative to an instantaneous one.
        mean_force_test: Mean-force datasets held out for R2 against the mean force.
        mean_force_separation: Training and validation frames whose beads have moved less than this (root mean square)
            from a held-out mean-force configuration are left out, so that it is unseen [nm].
        fractions: Shares of train, validation and test.
        n_blocks: Blocks of consecutive frames that are kept together in the split.
        split_seed: Seed of the split.
        max_training_frames: Train on this many frames only, evenly spread, to see what more data would give.
    """

    datasets: Paths = Field(min_length=1)
    mean_force_training: Paths = ()
    mean_force_weight: float = Field(default=1.0, gt=0)
    mean_force_test: Paths = ()
    mean_force_separation: Length = Field(default=0.25, ge=0)
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    n_blocks: int = Field(default=20, ge=3)
    split_seed: int = Field(default=0, ge=0)
    max_training_frames: int | None = Field(default=None, ge=1)

    @pydantic.model_validator(mode="after")
    def _check(self) -> DataConfig:
        twice = set(self.mean_force_training) & set(self.mean_force_test)
        if twice:
            raise ValueError(f"{sorted(map(str, twice))[0]} is in mean_force_training and mean_force_test; hold it out")
        return self


class TrainingConfig(Config):
    r"""Loss and optimizer.

    The loss is the mean squared error per force component [(kJ/mol/nm)^2] plus, with an `energy_weight`, an energy
    term. U is the model's energy with its priors, U_A the atomistic energy component less the fitted offset, Var the
    variance over the training frames, n the number of beads:

    * "relative": lambda Var(F) (U - U_A)^2 / Var(U_A): both errors count as fractions of a variance, so lambda means
      the same at any system size and in any units;
    * "per_bead": lambda ((U - U_A) / n)^2, lambda in 1/nm^2;
    * "total": lambda (U - U_A)^2, lambda in 1/nm^2, the published form (lambda there is in 1/angstrom^2: times 100).

    The output of the network is zero before the first step. After the last it is multiplied by the factor, at most 1,
    that has the least force error on the validation frames.

    Attributes:
        epochs: Passes over the training frames.
        batch_size: Frames per step.
        learning_rate: Largest learning rate.
        schedule: "one_cycle" (up in the first 30 %, then down), "cosine", "plateau" (halved after `plateau_patience`
            epochs without progress) or "constant".
        plateau_patience: Epochs without progress before "plateau" acts.
        weight_decay: Of AdamW.
        gradient_clip: Largest norm of the gradient of the loss divided by Var(F); None for no limit.
        ema_decay: Decay per step of the averaged weights, which are validated and exported; 0 for none.
        early_stopping: Stop after this many epochs without a better validation loss; None for never.
        select: Export the weights with the best validation loss, or the last.
        target: "total" trains on the total forces. "split" trains the forces along intermolecular distances on the
            intermolecular part of the forces, and those along intramolecular ones on the rest.
        energy_weight: lambda, see above.
        energy_target: "inter" or "inter+bonded", the components that make U_A.
        energy_normalization: The form of the energy term, see above.
        seed: Of initial weights and batch order.
        precision: "float32" or "float64".
        device: "cpu", "cuda", or "auto" for CUDA where there is one.
        threads: CPU threads of torch; None leaves it to torch. One gives bit-identical results.
        filter_knots: Filters are tabulated at this many distances, value and derivative, and interpolated by cubic
            Hermite splines. The default is the table of the deployed network, so training optimizes the very function
            that is simulated; 0 evaluates them at every pair (several times slower, equal to 6 digits).
        checkpoint_interval: Steps between checkpoints within an epoch; None for one per epoch.
    """

    epochs: int = Field(default=12, ge=1)
    batch_size: int = Field(default=4, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0)
    schedule: Literal["one_cycle", "cosine", "plateau", "constant"] = "one_cycle"
    plateau_patience: int = Field(default=5, ge=1)
    weight_decay: float = Field(default=0.01, ge=0)
    gradient_clip: float | None = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.99, ge=0, lt=1)
    early_stopping: int | None = Field(default=None, ge=1)
    select: Literal["best", "last"] = "best"
    target: Literal["total", "split"] = "total"
    energy_weight: float = Field(default=0.0, ge=0)
    energy_target: Literal["inter", "inter+bonded"] = "inter"
    energy_normalization: Literal["relative", "per_bead", "total"] = "relative"
    seed: int = Field(default=0, ge=0, lt=2**31)
    precision: Literal["float32", "float64"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    threads: int | None = Field(default=None, ge=1)
    filter_knots: int = Field(default=N_KNOTS, ge=0)
    checkpoint_interval: int | None = Field(default=None, ge=1)


class FitConfig(Config):
    """Everything `fit` needs.

    Attributes:
        name: Name of the force field.
        description: One sentence for its manifest and card.
        license: License of the force field.
        limitations: What it is not good for, for its card.
        data: Datasets.
        priors: Prior terms, by hand or fitted.
        network: Architecture; None for priors alone, which need no training.
        training: Loss and optimizer.
    """

    name: str = Field(min_length=1)
    description: str = ""
    license: str = ""
    limitations: str = ""
    data: DataConfig
    priors: PriorConfig
    network: SchNetConfig | None
    training: TrainingConfig = TrainingConfig()

    def identity(self) -> dict[str, str]:
        """Digests of the parts that must not change when a fit is resumed, by the name shown to people."""
        training = self.training.model_dump(mode="json", exclude={"threads", "device", "checkpoint_interval"})
        data = self.data.model_dump(mode="json", exclude={"datasets", "mean_force_training", "mean_force_test"})
        network = {} if self.network is None else self.network.model_dump(mode="json")
        parts = {"data": data, "network": network, "training": training}
        return {
            f"{part}.{key}": json.dumps(value, sort_keys=True)
            for part, values in parts.items()
            for key, value in values.items()
        }


def read_fit_config(
    path: str | os.PathLike[str], *, data: Mapping[str, Any] | None = None, training: Mapping[str, Any] | None = None
) -> FitConfig:
    """The configuration in a YAML file; paths in it are relative to the working directory.

    Args:
        path: The file. It may leave out `data.datasets` if `data` gives them.
        data: Values that replace those under `data`.
        training: Values that replace those under `training`.

    Raises:
        InputError: If the file does not fit `FitConfig`; the message gives the line.
    """
    content, _ = read_yaml(path)
    overrides: dict[str, Any] = {}
    for section, values in (("data", data), ("training", training)):
        if values:
            given = content.get(section) if isinstance(content, dict) else None
            overrides[section] = {**(given if isinstance(given, dict) else {}), **values}
    return read_config(path, FitConfig, overrides)

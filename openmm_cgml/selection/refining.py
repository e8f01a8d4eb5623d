"""The step after a fit, as a recipe asks for it. Nothing else here imports the refinement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.force_field import ForceField
from openmm_cgml.refinement import refine
from openmm_cgml.refinement.config import read_refinement_config
from openmm_cgml.refinement.ensemble import halves


def refine_force_field(
    force_field: ForceField, datasets: Sequence[ForceMatchingDataset], output: Path, settings: Path
) -> None:
    """Refine a force field, going on where that was interrupted.

    Args:
        force_field: The fitted force field.
        datasets: Mapped reference frames of every box.
        output: Folder to write into.
        settings: File with the settings, which say what is adjusted.
    """
    refine(force_field, datasets, output, read_refinement_config(settings), resume=output.exists())


def split_halves(dataset: ForceMatchingDataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frames that a refinement takes as its target, and those that judge."""
    return halves(dataset)


def target_of(settings: Path | None) -> str | None:
    """What a file with settings adjusts; None without one."""
    return None if settings is None else read_refinement_config(settings).target

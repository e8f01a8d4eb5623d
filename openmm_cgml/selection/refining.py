"""The step after a fit, as a recipe asks for it. Nothing else here imports the refinements."""

from __future__ import annotations

from pathlib import Path

from openmm_cgml.config import read_config
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.force_field import ForceField
from openmm_cgml.training import PriorRefineConfig, RefineConfig, refine, refine_priors


def refine_force_field(
    force_field: ForceField, dataset: ForceMatchingDataset, output: Path, settings: Path, *, priors: bool
) -> None:
    """Refine a force field, going on where that was interrupted.

    Args:
        force_field: The fitted force field.
        dataset: Mapped reference frames.
        output: Folder to write into.
        settings: File with the settings.
        priors: Whether the bonded priors are corrected, not the network.
    """
    if priors:
        refine_priors(force_field, dataset, output, read_config(settings, PriorRefineConfig), resume=output.exists())
    else:
        refine(force_field, dataset, output, read_config(settings, RefineConfig), resume=output.exists())

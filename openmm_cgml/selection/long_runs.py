"""Long simulations of a shipped model from built boxes, which need nothing but what is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openmm_cgml.force_field import ForceField
from openmm_cgml.selection.comparison import ReferenceSummary, read_reference_summary
from openmm_cgml.selection.simulations import simulate_built
from openmm_cgml.selection.table import measure_energies, measure_runs
from openmm_cgml.selection.workplace import Workplace
from openmm_cgml.simulation import SimulationConfig
from openmm_cgml.storage import write_json

SHIPPED = "shipped"
"""Folder of the simulations of the shipped model."""


def make_long_runs(workplace: Workplace) -> None:
    """Simulate the shipped model for long, also at other sizes, and write the table of these runs."""
    recipe, long = workplace.recipe, workplace.long_runs
    if recipe.long_runs is None:
        return
    force_field, seeds = ForceField.load(recipe.name), recipe.simulation.seeds
    molecules, chains = own_box(workplace)
    for seed, output in zip(seeds, long_simulations(workplace), strict=True):
        config = _config(workplace, seed, recipe.long_runs.duration)
        simulate_built(force_field, output, config, molecules=molecules, chains=chains, seed=seed)
    for size, output in _sizes(workplace).items():
        config = _config(workplace, size, recipe.long_runs.sizes_duration)
        simulate_built(force_field, output, config, molecules=size, seed=size)
    reference = read_reference_summary(workplace.reference_summary)
    write_json(long.table, measure_long_runs(workplace, reference))


def measure_long_runs(workplace: Workplace, reference: ReferenceSummary) -> dict[str, Any]:
    """All that was measured in the long runs."""
    return {
        **measure_runs(long_simulations(workplace), reference),
        "simulations_command": f"python -m openmm_cgml.selection {workplace.system.name} --stage long-runs",
        **measure_energies(_sizes(workplace)),
    }


def long_simulations(workplace: Workplace) -> list[Path]:
    """Folders of the long simulations."""
    return workplace.long_runs.simulations(SHIPPED, workplace.recipe.simulation.seeds)


def renew(before: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A table with the values of the long runs in their place; those of the first runs are kept beside them."""
    kept = before.get("shorter_runs", {key: before[key] for key in new if key in before})
    return {**before, **new, "shorter_runs": kept}


def own_box(workplace: Workplace) -> tuple[int | None, tuple[int, int] | None]:
    """Number of molecules, or chains and monomers of each, in the box of the reference."""
    if workplace.specification.chains:
        return None, workplace.chain_boxes[0]
    return sum(residue.count for residue in workplace.specification.residues), None


def _sizes(workplace: Workplace) -> dict[int, Path]:
    sizes = workplace.recipe.sizes
    return {} if sizes is None else {size: workplace.long_runs.size_folder(size) for size in sizes.molecules}


def _config(workplace: Workplace, seed: int, duration: float) -> SimulationConfig:
    assert workplace.recipe.long_runs is not None
    whole = duration + workplace.recipe.long_runs.equilibration
    return workplace.simulation_config(seed, temperature=workplace.specification.temperature, duration=whole)

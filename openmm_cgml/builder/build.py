"""Everything a simulation needs, in one folder: structure and script."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.builder.box import build_box
from openmm_cgml.builder.composition import ChainCount
from openmm_cgml.builder.run_script import MODEL_FOLDER, RunScript
from openmm_cgml.builder.structure_file import write_structure
from openmm_cgml.builder.time_step import choose_time_step
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.force_field.artifact import copy_folder, find_force_field
from openmm_cgml.runs.folder import STRUCTURE
from openmm_cgml.storage import OutputKind, check_output, hold_output, write_atomically
from openmm_cgml.system import TimeStep
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import DALTON_PER_NM3_IN_G_PER_CM3

_DURATION = 100.0  # ps


def _is_build(script: Path) -> bool:
    """Whether a script is that of a build: the structure lies beside it, and it says so itself."""
    text = script.read_text(encoding="utf8", errors="replace")
    return "from openmm_cgml import ForceField" in text and STRUCTURE in text


_MEMBERS = (STRUCTURE, "run.py", MODEL_FOLDER)
OUTPUT = OutputKind(verb="build", marker="run.py", members=_MEMBERS, recognizes=_is_build)


@dataclass(frozen=True, eq=False, kw_only=True)
class BuildResult:
    """What was written.

    Attributes:
        folder: The folder.
        topology: The beads.
        positions: Bead positions [nm], shape (n_beads, 3).
        box: Box vectors [nm], shape (3, 3).
        density: Density of the box [g/cm^3].
        time_step: Time step in the script [ps].
        allowed: The time step that the stiffest prior allows, or None without priors.
    """

    folder: Path
    topology: CGTopology
    positions: NDArray[np.float64]
    box: NDArray[np.float64]
    density: float
    time_step: float
    allowed: TimeStep | None


def write_build(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    molecules: int | Mapping[str, int] | None = None,
    *,
    chains: Sequence[ChainCount | tuple[int, int]] = (),
    density: Any = None,
    box: Any = None,
    temperature: float | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> BuildResult:
    """Write `topology.cif` (with bonds, box and starting positions), a runnable `run.py` and the model into a folder.

    The folder is complete: it can be moved to another machine that has this package.

    Args:
        model: Name of a shipped force field or path of a folder.
        output: The folder to write.
        molecules: How many molecules of one residue, by residue name; one number if the force field knows one.
        chains: Chains: pairs (how many, residues of each) or `ChainCount`s.
        density: Density [g/cm^3], a number or a text like "0.84 g/cm^3"; by default that of the training data.
        box: Edge of the box instead [nm], a number or a text like "5 nm".
        temperature: Temperature of conformations and of the script [K]; by default that of the training data.
        seed: Seed of placement, velocities and thermostat.
        overwrite: Replace what is in `output`.

    Raises:
        InputError: As `build_box`, for a seed below 0, and if overwriting would delete the model.
        OutputExistsError: If `output` holds something and `overwrite` is not set, or something that is no build.
    """
    if not 0 <= seed < 2**31 - 1:
        raise InputError(f"seed is {seed}; it must lie between 0 and {2**31 - 2}")
    place: dict[str, Any] = {"overwrite": overwrite, "inputs": [model]}
    check_output(output, OUTPUT, **place)
    force_field = ForceField.load(model)
    training = force_field.training_summary
    temperature = temperature or (training.temperature if training else 300.0)
    topology, positions, vectors = build_box(
        force_field, molecules, chains=chains, density=density, box=box, temperature=temperature, seed=seed
    )
    allowed = force_field.suggest_time_step(topology, temperature=temperature)
    time_step = choose_time_step(allowed, force_field.manifest.recommended_steps)
    script = RunScript(
        temperature=temperature,
        time_step=time_step,
        allowed=None if allowed is None else allowed.time_step,
        duration=_DURATION,
        seed=seed + 1,
    )
    with hold_output(output, OUTPUT, **place) as folder:
        write_atomically(folder / OUTPUT.marker, script.text())
        write_structure(folder / STRUCTURE, topology, positions, vectors)
        copy_folder(find_force_field(model), folder / MODEL_FOLDER)
    return BuildResult(
        folder=folder,
        topology=topology,
        positions=positions,
        box=vectors,
        density=float(topology.masses.sum() / np.linalg.det(vectors) * DALTON_PER_NM3_IN_G_PER_CM3),
        time_step=time_step,
        allowed=allowed,
    )

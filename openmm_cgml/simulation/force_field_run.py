"""Simulation with a force field."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
from openmm import app, unit

from openmm_cgml.engine import choose_backend, describe_evaluation, is_tabulable
from openmm_cgml.engine.pair_parity import measure_pair_parity
from openmm_cgml.engine.parity import measure_parity
from openmm_cgml.errors import SimulationError
from openmm_cgml.force_field import ForceField
from openmm_cgml.potentials import BOND, BondedPotential
from openmm_cgml.runs.folder import RunFolder
from openmm_cgml.runs.result import SimulationResult
from openmm_cgml.simulation.barostat import add_barostat
from openmm_cgml.simulation.config import SimulationConfig
from openmm_cgml.simulation.integrator import share_group_of_priors
from openmm_cgml.simulation.pair_choice import choose_pairs, compare_pairs_with_outer_step
from openmm_cgml.simulation.platform import choose_platform, fingerprint_system
from openmm_cgml.simulation.run import simulate_system
from openmm_cgml.simulation.stability import BondReferences, ContactReferences
from openmm_cgml.simulation.start import compare_with_period
from openmm_cgml.system import box_vectors, nonbonded_potentials_of, three_body_potentials_of
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN, DALTON_PER_NM3_IN_G_PER_CM3
from openmm_cgml.wholeness import BondForest

_FAR_TEMPERATURE, _FAR_DENSITY = 0.05, 0.05
"""Relative distances from the training conditions that are worth a note."""


def simulate(
    force_field: ForceField,
    topology: CGTopology | app.Topology,
    positions: np.ndarray,
    box: object,
    *,
    output: str | os.PathLike[str],
    config: SimulationConfig,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    velocities: np.ndarray | None = None,
) -> SimulationResult:
    """Simulate beads with a force field, writing frames, a log and checkpoints into `output`.

    Args:
        force_field: The force field.
        topology: The beads.
        positions: Starting positions [nm], shape (n_beads, 3), or with replicas that start differently
            (replicas, n_beads, 3); not used when resuming from a checkpoint.
        box: Box vectors [nm], shape (3, 3), or edge lengths, shape (3,).
        output: Folder of the run.
        config: Settings.
        resume: Go on from the newest checkpoint in `output`, or start if there is none yet.
        overwrite: Delete what is in `output` once the starting structure has passed its checks.
        progress: Show progress on standard error.
        velocities: Starting velocities [nm/ps], of the shape of the positions; None draws them.

    Raises:
        InputError: As `simulate_system`, and if the time step is too long for the priors.
        OutputExistsError: If `output` holds something and neither flag is set, or another process works in it.
        ArtifactError: If no checkpoint fits the files of the run.
        UnstableSimulationError: If the simulation became unstable; everything up to there is kept.
    """
    beads, box = force_field.bead_topology(topology), box_vectors(box)
    notes = _compare_with_training(force_field, beads, box, config)
    allowed = force_field.suggest_time_step(beads, temperature=config.temperature)
    if allowed is not None and (note := compare_with_period(config.time_step, allowed.period, allowed.term)):
        notes.append(note)
    platform = choose_platform(config.platform, config.threads).name
    pairs = choose_pairs(force_field, beads, config, platform)
    notes += _compare_network_step(force_field, beads, config, pairs.in_engine)
    record: dict[str, str | float] = {
        "force_field": force_field.name,
        "force_field_fingerprint": force_field.fingerprint,
    }
    backend: str = config.ml_backend
    if force_field.network is not None:
        priors = force_field.priors
        choice = choose_backend(config.ml_backend, has_sites=bool(priors.sites), has_three_body=priors.has_three_body)
        backend = choice.name
        record |= {"ml_backend": choice.name, "ml_backend_reason": choice.reason}
        record["ml_evaluation"] = describe_evaluation(force_field.network)
        record |= _compare_tables(force_field, beads, positions, box)
    record |= pairs.record
    if pairs.in_engine:
        record |= _compare_pair_tables(force_field, beads, positions, box)
    options: dict[str, Any] = {"ml_backend": backend, "box": box, "pair_backend": pairs.backend}
    system = force_field.create_system(beads, replicas=config.replicas, **options)
    add_barostat(system, config)
    if config.network_interval > 1:
        share_group_of_priors(system)
    alone = force_field.create_system(beads, **options) if config.replicas > 1 else None
    return simulate_system(
        system,
        beads,
        positions,
        box,
        output=output,
        config=config,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        identity=force_field.fingerprint,
        contacts=_contacts(force_field, beads),
        record=record,
        notes=notes,
        system_of_one=alone,
        cutoffs=force_field.cutoffs,
        velocities=velocities,
        bonds=_bonds(force_field, beads, BOLTZMANN * config.temperature),
        fingerprint=_fingerprint(force_field, beads, box, config) if pairs.differ_from_native else None,
    )


def resume(
    folder: str | os.PathLike[str], force_field: ForceField, *, progress: bool = True, **changes: Any
) -> SimulationResult:
    """Go on with the run in a folder, with the settings it was started with.

    Args:
        folder: The run.
        force_field: The force field it was started with.
        progress: Show progress on standard error.
        **changes: Settings to give anew: duration, checkpoint_interval, platform, threads, ml_backend,
            pair_backend.

    Raises:
        ArtifactError: If the folder holds no run, or its files are damaged.
        InputError: If the force field is another, or a setting may not change.
    """
    run = RunFolder.at(folder)
    topology, record = run.read_topology(), run.read_record()
    positions = app.PDBxFile(str(run.structure)).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    config = SimulationConfig(**{**record.config, **changes})
    return simulate(
        force_field, topology, positions, record.box, output=run.path, config=config, resume=True, progress=progress
    )


def _compare_tables(
    force_field: ForceField, topology: CGTopology, positions: object, box: np.ndarray | None
) -> dict[str, float]:
    """Largest force error of the tables at the start over the rms force; nothing where it cannot be evaluated."""
    deployed = force_field.deploy(topology)
    x = _positions_of_one(positions)
    if deployed is None or not is_tabulable(deployed.network) or x.shape != (topology.n_beads, 3):
        return {}
    try:
        return {"table_force_error_over_rms": measure_parity(deployed, x, box)}
    except SimulationError:
        return {}  # the run itself raises the same, with what to do about it


def _compare_pair_tables(
    force_field: ForceField, topology: CGTopology, positions: object, box: np.ndarray | None
) -> dict[str, float]:
    """Largest error of the engine's pair forces at the start over their rms; nothing where positions do not fit.

    Raises:
        SimulationError: If it is too large.
    """
    x = _positions_of_one(positions)
    if x.shape != (topology.n_beads, 3) or not np.isfinite(x).all():
        return {}  # the run itself refuses them
    bound = force_field.bind(topology)
    potentials = [*nonbonded_potentials_of(bound), *three_body_potentials_of(bound)]
    deployed = force_field.deploy_pairs(topology)
    assert deployed is not None  # there are pair potentials
    return {"pair_table_force_error_over_rms": measure_pair_parity(deployed, potentials, x, box)}


def _positions_of_one(positions: object) -> np.ndarray:
    """Positions of the first replica where there are those of several."""
    x = np.asarray(positions, np.float64)
    return x[0] if x.ndim == 3 and len(x) else x


def _compare_network_step(
    force_field: ForceField, topology: CGTopology, config: SimulationConfig, pairs_in_engine: bool
) -> list[str]:
    """A note where a pair prior, which the engine evaluates with the network, allows a shorter step than its own.

    Raises:
        InputError: If its step is far too long.
    """
    if not pairs_in_engine or config.network_interval == 1:
        return []
    note = compare_pairs_with_outer_step(force_field, topology, config)
    return [] if note is None else [note]


def _fingerprint(
    force_field: ForceField, topology: CGTopology, box: np.ndarray | None, config: SimulationConfig
) -> str:
    """That of the System with native pair forces, so that a run may go on with another pair backend."""
    native = replace(force_field, network=None).create_system(topology, box=box, replicas=config.replicas)
    add_barostat(native, config)
    if config.network_interval > 1:
        share_group_of_priors(native)
    return fingerprint_system(native, force_field.fingerprint)


def _bonds(force_field: ForceField, topology: CGTopology, kt: float) -> BondReferences | None:
    """Where the bonded priors, whatever their form, have their minima, and how stiff they are; None without bonds."""
    lengths = [p for p in force_field.bind(topology) if isinstance(p, BondedPotential) and p.coordinate is BOND]
    if not lengths:
        return None
    usual = [potential.usual_range() for potential in lengths]
    return BondReferences(
        indices=np.concatenate([potential.indices for potential in lengths]),
        length=np.concatenate([potential.minima()[0] for potential in lengths]),
        stiffness=np.concatenate([potential.stiffest(kt)[1] for potential in lengths]),
        shortest=np.concatenate([shortest for shortest, _ in usual]),
        longest=np.concatenate([longest for _, longest in usual]),
    )


def _contacts(force_field: ForceField, topology: CGTopology) -> ContactReferences | None:
    """Closest approaches recorded in training, by pair of bead types."""
    training = force_field.training_summary
    if training is None or not training.closest_approach:
        return None
    names = topology.type_names
    closest = np.zeros((len(names), len(names)))
    for a, first in enumerate(names):
        for b, second in enumerate(names):
            known = training.closest_approach
            closest[a, b] = known.get(f"{first}-{second}", known.get(f"{second}-{first}", 0.0))
    forest = BondForest.from_topology(topology)
    return ContactReferences(bead_types=topology.bead_types, forest=forest, closest=closest)


def _compare_with_training(
    force_field: ForceField, topology: CGTopology, box: np.ndarray | None, config: SimulationConfig
) -> list[str]:
    """Notes on conditions far from those of the training data, where a coarse-grained model is an extrapolation."""
    training = force_field.training_summary
    if training is None:
        return []
    notes = []
    if abs(config.temperature / training.temperature - 1) > _FAR_TEMPERATURE:
        notes.append(
            f"{config.temperature:g} K is far from the {training.temperature:g} K of the training data; "
            "a coarse-grained force field holds at its own temperature"
        )
    if box is not None and training.density is not None:
        density = float(topology.masses.sum() / np.linalg.det(box)) * DALTON_PER_NM3_IN_G_PER_CM3
        if abs(density / training.density - 1) > _FAR_DENSITY:
            notes.append(f"{density:.3f} g/cm^3 is far from the {training.density:.3f} g/cm^3 of the training data")
    return notes

import numpy as np
import openmm
import pytest

from openmm_cgml.frames import Frames
from openmm_cgml.priors import PriorSet
from openmm_cgml.selection import pair_spline
from openmm_cgml.topology import CGTopology, ResidueTemplate

EDGE, CUTOFF, DEPTH = 2.0, 0.8, 300.0


def known_force(distance: np.ndarray) -> np.ndarray:
    """Repels, attracts, and ends smoothly at the cutoff."""
    inside = distance < CUTOFF
    return np.where(inside, DEPTH * (CUTOFF - distance) ** 2 * np.cos(8 * distance) * 4, 0)


def liquid(types: str = "A", n_frames: int = 40, n: int = 60) -> tuple[CGTopology, Frames]:
    templates = [
        ResidueTemplate(name=t, bead_names=("X",), bead_type_names=(t,), masses=(50.0,)) for t in dict.fromkeys(types)
    ]
    topology = CGTopology.from_residues([(t, n // len(templates)) for t in templates])
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(4) * EDGE / 4] * 3), axis=-1).reshape(-1, 3)
    positions = grid[rng.permuted(np.tile(np.arange(64), (n_frames, 1)), axis=1)[:, :n]]
    positions = positions + rng.uniform(-0.1, 0.1, positions.shape)
    delta = positions[:, :, None] - positions[:, None]
    delta -= EDGE * np.round(delta / EDGE)
    distance = np.linalg.norm(delta, axis=-1) + np.eye(n)
    scale = np.where(topology.bead_types[:, None] == topology.bead_types, 1.0, 0.5)
    forces = (delta * (scale * known_force(distance) / distance)[..., None]).sum(axis=2)
    return topology, Frames(positions=positions, box=np.tile(EDGE * np.eye(3), (n_frames, 1, 1)), forces=forces)


@pytest.mark.physics
def test_known_pair_force_is_recovered() -> None:
    topology, frames = liquid()
    spline = pair_spline.fit_pair_spline(topology, frames, CUTOFF)
    distance = np.linspace(0.36, 0.79, 50)
    error = spline.force(distance) - known_force(distance)
    assert np.abs(error).max() < 2e-3 * np.abs(known_force(distance)).max()
    assert pair_spline.score(spline.forces(topology, frames), frames.forces)["r2"] > 0.999
    wrong = frames.replace(forces=-frames.forces)
    assert pair_spline.score(spline.forces(topology, wrong), wrong.forces)["r2"] < 0, "the control must fail"


@pytest.mark.physics
def test_two_types_get_their_own_forces() -> None:
    topology, frames = liquid("AB")
    spline = pair_spline.fit_pair_spline(topology, frames, CUTOFF)
    assert set(spline.types) == {("A", "A"), ("A", "B"), ("B", "B")}
    distance = np.linspace(0.4, 0.78, 20)
    mixed = spline.force(distance, spline.types.index(("A", "B")))
    np.testing.assert_allclose(mixed, known_force(distance) / 2, atol=2e-2 * np.abs(known_force(distance)).max())


@pytest.mark.physics
@pytest.mark.parametrize("types", ["A", "AB"])
def test_openmm_tables_equal_the_fit(types: str) -> None:
    topology, frames = liquid(types)
    spline = pair_spline.fit_pair_spline(topology, frames, CUTOFF)
    system = pair_spline.create_system(spline, PriorSet(terms=()), topology, frames.box[0])
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(frames.positions[0])
    theirs = context.getState(forces=True).getForces(asNumpy=True)._value
    assert pair_spline.score(spline.forces(topology, frames[:1])[0], theirs)["r2"] > 1 - 1e-6


@pytest.mark.physics
def test_core_repels_and_its_force_is_the_slope_of_its_energy() -> None:
    topology, frames = liquid()
    spline = pair_spline.fit_pair_spline(topology, frames, CUTOFF)
    distance = np.linspace(0.1, 0.79, 200)
    slope = (spline.energy(distance + 1e-6) - spline.energy(distance - 1e-6)) / 2e-6
    np.testing.assert_allclose(spline.force(distance), -slope, rtol=1e-5, atol=1e-4)
    inside = distance[distance < spline.core[0]]
    assert (np.diff(spline.force(inside)) < 0).all()
    assert spline.energy(np.array([CUTOFF]))[0] == 0


def test_score_takes_out_the_noise_of_the_labels() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 2, 100_000)
    noise = rng.normal(0, 1, truth.shape)
    result = pair_spline.score(truth, truth + noise, np.ones_like(truth))
    assert result["r2"] == pytest.approx(0.8, abs=0.01)
    assert result["r2_without_noise"] == pytest.approx(1.0, abs=0.01)


def test_types_that_do_not_meet_in_every_frame_are_fitted_all_the_same() -> None:
    templates = [ResidueTemplate(name=t, bead_names=("X",), bead_type_names=(t,), masses=(50.0,)) for t in "AB"]
    topology = CGTopology.from_residues([(templates[0], 20), (templates[1], 2)])
    positions = np.random.default_rng(0).uniform(0.0, EDGE, (3, 22, 3))
    positions[:, 20] = 0.0
    positions[:, 21] = [[0.5, 0, 0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]  # farther apart than the cutoff but once
    frames = Frames(
        positions=positions,
        box=np.tile(EDGE * np.eye(3), (3, 1, 1)),
        forces=np.random.default_rng(1).normal(size=(3, 22, 3)),
    )
    spline = pair_spline.fit_pair_spline(topology, frames, CUTOFF)
    assert ("B", "B") in spline.types
    assert np.isfinite(spline.forces(topology, frames)).all()

import warnings

import numpy as np
import openmm
import pytest

from openmm_cgml.dataset import ForceMatchingDataset, summarize
from openmm_cgml.dataset.plausibility import (
    compare_forces_with_positions,
    find_repeated,
    warn_of_implausible_data,
    warn_of_shared_frames,
)
from openmm_cgml.errors import DatasetWarning, InputError
from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology, ResidueTemplate

KT = 2.494338785  # at 300 K
DIMER = ResidueTemplate(
    name="D", bead_names=("A", "B"), bead_type_names=("A", "A"), masses=(30.0, 30.0), bonds=((0, 1),)
)
ATOM = ResidueTemplate(name="AR", bead_names=("A",), bead_type_names=("A",), masses=(39.9,))
N_FRAMES, N_DIMERS, EDGE = 40, 64, 4.0


def dimers(noise=50.0, constant=False):
    """Harmonic dimers in equilibrium at 300 K, with the noise that mapped forces have."""
    rng = np.random.default_rng(0)
    stiffness, length = 5000.0, 0.3
    centers = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3) * EDGE / 4
    axes = rng.normal(size=(N_FRAMES, N_DIMERS, 3))
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    stretch = rng.normal(0, 0 if constant else np.sqrt(KT / stiffness), (N_FRAMES, N_DIMERS, 1))
    positions = np.stack([centers + 0 * axes, centers + (length + stretch) * axes], 2).reshape(N_FRAMES, -1, 3)
    pull = -stiffness * stretch * axes
    forces = np.stack([-pull, pull], 2).reshape(N_FRAMES, -1, 3)
    return positions, forces + rng.normal(0, noise, forces.shape), EDGE


@pytest.fixture(scope="module")
def argon():
    """A Lennard-Jones liquid at 120 K: no bonds."""
    n, edge = 125, 1.95
    system, force = openmm.System(), openmm.NonbondedForce()
    force.setNonbondedMethod(force.CutoffPeriodic)
    force.setCutoffDistance(0.9)
    for _ in range(n):
        system.addParticle(39.9)
        force.addParticle(0, 0.34, 1.0)
    system.addForce(force)
    system.setDefaultPeriodicBoxVectors([edge, 0, 0], [0, edge, 0], [0, 0, edge])
    integrator = openmm.LangevinMiddleIntegrator(120, 5, 0.004)
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatform("CPU"), {"Threads": "1"})
    context.setPositions(np.stack(np.meshgrid(*[np.arange(5)] * 3, indexing="ij"), -1).reshape(-1, 3) * edge / 5)
    context.setVelocitiesToTemperature(120, 1)
    integrator.step(500)
    positions, forces = [], []
    for _ in range(N_FRAMES):
        integrator.step(50)
        state = context.getState(positions=True, forces=True)
        positions.append(state.getPositions(asNumpy=True)._value)
        forces.append(state.getForces(asNumpy=True)._value)
    return np.array(positions), np.array(forces), edge


def dataset(path, positions, forces, edge, *, template=DIMER, temperature=300.0, times=None):
    n = positions.shape[1] // len(template.bead_names)
    box = None if edge is None else np.tile(edge * np.eye(3), (len(positions), 1, 1))
    return ForceMatchingDataset.create(
        path, [Frames(positions=positions, forces=forces, box=box, times=times)], topology=CGTopology.from_residues([(template, n)]),
        temperature=temperature, mapping_fingerprint="x", source={}, templates=[template],
    )  # fmt: skip


@pytest.mark.physics
def test_bonded_beads_in_equilibrium_have_the_forces_of_their_temperature(tmp_path):
    scale = compare_forces_with_positions(dataset(tmp_path / "d", *dimers()))
    assert scale.ratio == pytest.approx(1.0, abs=4 * scale.error)
    assert scale.error < 0.1
    assert scale.complaint(300.0) is None


@pytest.mark.physics
def test_liquid_without_bonds_has_the_forces_of_its_temperature(tmp_path, argon):
    scale = compare_forces_with_positions(dataset(tmp_path / "d", *argon, template=ATOM, temperature=120.0))
    assert scale.ratio == pytest.approx(1.0, abs=4 * scale.error)
    assert scale.error < 0.1
    assert scale.complaint(120.0) is None


@pytest.mark.physics
@pytest.mark.parametrize("system", ["dimers", "argon"])
@pytest.mark.parametrize(
    ("lengths", "strengths", "ratio", "message"),
    [
        (1.0, 1 / 41.84, 1 / 41.84, r"as for forces in kcal/mol/angstrom.*check these units"),
        (1.0, 1 / 4.184, 1 / 4.184, r"as for forces in kcal/mol/nm"),
        (1.0, 4.184, 4.184, r"a factor of 4.184 between units"),
        (1.0, 0.1, 0.1, r"kJ/mol/angstrom"),
        (10.0, 1.0, 10.0, r"a factor of 10 between units"),
    ],
)
def test_units_that_are_not_ours_are_told(tmp_path, argon, system, lengths, strengths, ratio, message):
    positions, forces, edge = argon if system == "argon" else dimers()
    made = dataset(
        tmp_path / "d", lengths * positions, strengths * forces, lengths * edge,
        template=ATOM if system == "argon" else DIMER, temperature=120.0 if system == "argon" else 300.0,
    )  # fmt: skip
    assert compare_forces_with_positions(made).ratio == pytest.approx(ratio, rel=0.25)
    with pytest.warns(DatasetWarning, match=message):
        warn_of_implausible_data(made)
    assert "WARNING: forces times lengths" in summarize(made).to_text()


@pytest.mark.physics
def test_wrong_temperature_and_forces_of_other_frames_are_told(tmp_path, argon):
    positions, forces, edge = argon
    cold = dataset(tmp_path / "cold", *argon, template=ATOM, temperature=500.0)
    assert compare_forces_with_positions(cold).ratio == pytest.approx(120 / 500, rel=0.2)
    assert "the temperature in K" in compare_forces_with_positions(cold).complaint(500.0)
    other = dataset(tmp_path / "other", positions, forces[::-1], edge, template=ATOM, temperature=120.0)
    scale = compare_forces_with_positions(other)
    assert abs(scale.ratio) < 0.2
    assert "of the same frames" in scale.complaint(120.0)


def test_bonds_of_constant_length_and_few_frames_tell_nothing(tmp_path):
    positions, forces, edge = dimers(constant=True)
    assert compare_forces_with_positions(dataset(tmp_path / "rigid", positions, forces, edge)) is None
    assert compare_forces_with_positions(dataset(tmp_path / "few", *(a[:5] for a in dimers()[:2]), edge)) is None


def test_good_data_pass_without_a_word(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_implausible_data(dataset(tmp_path / "d", *dimers()))


def test_absurd_frame_is_named(tmp_path):
    positions, forces, edge = dimers()
    forces[7] *= 1000.0
    with pytest.warns(
        DatasetWarning, match=r"1 of 40 frames hold forces beyond 50 robust standard deviations, the worst are 7 \("
    ):
        warn_of_implausible_data(dataset(tmp_path / "d", positions, forces, edge))


def test_frame_that_is_there_twice_is_refused_and_found_in_old_datasets(tmp_path, monkeypatch):
    positions, forces, edge = dimers()
    positions[20] = positions[3]
    with pytest.raises(InputError, match="frames 3 and 20 are the same"):
        dataset(tmp_path / "d", positions, forces, edge)
    with monkeypatch.context() as patch:  # as older versions wrote it
        patch.setattr("openmm_cgml.dataset.repeated_frames.FrameRegister.require_new", lambda self, frames: None)
        old = dataset(tmp_path / "old", positions, forces, edge)
    assert find_repeated(old) == ((3, 20),)
    with pytest.warns(DatasetWarning, match="1 frames are there twice: 3 and 20"):
        warn_of_implausible_data(old)


def test_wrapped_beads_are_made_whole_and_summarized_as_such(tmp_path):
    positions, forces, edge = dimers()
    wrapped = dataset(tmp_path / "wrapped", np.mod(positions, edge), forces, edge)
    whole = dataset(tmp_path / "whole", positions, forces, edge)
    assert np.abs(np.mod(positions, edge)[:, ::2] - np.mod(positions, edge)[:, 1::2]).max() > edge / 2  # control
    found, right = (summarize(d).distances[0] for d in (wrapped, whole))
    assert found.bonded_mean == pytest.approx(right.bonded_mean, abs=1e-6)
    assert found.bonded_max < 0.5
    lengths = np.linalg.norm(np.diff(wrapped.frames().positions.reshape(N_FRAMES, N_DIMERS, 2, 3), axis=2), axis=-1)
    assert lengths.max() < 0.5


def test_times_that_run_backward_are_told(tmp_path):
    positions, forces, edge = dimers()
    times = np.concatenate([np.arange(30.0), np.arange(25.0, 35.0)])
    made = dataset(tmp_path / "d", positions, forces, edge, times=times)
    with pytest.warns(DatasetWarning, match="times run backward at frame 30"):
        warn_of_implausible_data(made)


def test_frames_that_two_datasets_share_are_told(tmp_path):
    positions, forces, edge = dimers()
    first = dataset(tmp_path / "first", positions[:25], forces[:25], edge)
    second = dataset(tmp_path / "second", positions[20:], forces[20:], edge)
    with pytest.warns(DatasetWarning, match=r"second and .*first have 5 frames in common, the first is frame 0 of"):
        warn_of_shared_frames([first, second])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_shared_frames([first, dataset(tmp_path / "rest", positions[25:], forces[25:], edge)])

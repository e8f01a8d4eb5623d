from dataclasses import replace

import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.trajectories.sanity import Verdict, describe_findings, inspect_frames, refuse_impossible
from openmm_cgml.trajectories.topology_files import read_atom_topology
from tests.trajectories.liquid import BONDS, MASSES, N_FRAMES, run_liquid, write_data


@pytest.fixture(scope="module")
def atoms(tmp_path_factory):
    return read_atom_topology(write_data(tmp_path_factory.mktemp("t") / "a.data")).atoms


def frames_of(run, *, n=N_FRAMES, kinetic=True):
    energy = 0.5 * np.einsum("n,fnx,fnx->f", MASSES, run.velocities, run.velocities)
    return Frames(
        positions=run.positions[:n], box=np.tile(run.box, (n, 1, 1)), forces=run.forces[:n],
        energies={"kinetic": energy[:n]} if kinetic else {},
    )  # fmt: skip


def verdicts(frames, atoms, temperature=300.0):
    return {finding.what: finding.verdict for finding in inspect_frames(frames, atoms, temperature)}


@pytest.mark.parametrize("constrained", [False, True])
def test_a_run_as_it_should_be_raises_no_eyebrow(atoms, constrained):
    atoms = replace(atoms, constraints=BONDS) if constrained else atoms
    findings = inspect_frames(frames_of(run_liquid(constrained=constrained)), atoms, 300.0)
    assert [finding.verdict for finding in findings] == [Verdict.GOOD] * len(findings)
    assert ("forces along bonds" in {finding.what for finding in findings}) is not constrained
    refuse_impossible(findings, "this run")


SLIPS = {
    "kcal for kJ": (1.0, 1 / 4.184),
    "kJ for kcal": (1.0, 4.184),
    "kcal/mol/angstrom for kJ/mol/nm": (1.0, 1 / 41.84),
    "eV/angstrom for kcal/mol/angstrom": (1.0, 1 / 23.06),
    "angstrom for nm": (10.0, 1.0),
    "nm for angstrom": (0.1, 1.0),
    "per angstrom for per nm": (1.0, 0.1),
    "gradients for forces": (1.0, -1.0),
}


@pytest.mark.physics
@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.parametrize("slip", SLIPS)
def test_slips_of_units_and_signs_are_refused(atoms, slip, constrained):
    length, force = SLIPS[slip]
    frames = frames_of(run_liquid(constrained=constrained), kinetic=False)
    frames = frames.replace(positions=frames.positions * length, box=frames.box * length, forces=frames.forces * force)
    findings = inspect_frames(frames, replace(atoms, constraints=BONDS if constrained else BONDS[:0]), 300.0)
    with pytest.raises(InputError, match="no such run can be"):
        refuse_impossible(findings, "this run")


def test_the_advice_names_the_unit_or_the_sign(atoms):
    frames = frames_of(run_liquid())
    for factor, words in ((1 / 41.84, "kcal/mol/angstrom"), (-1.0, "gradients"), (1 / 4.184, "kcal/mol/nm")):
        text = describe_findings(inspect_frames(frames.replace(forces=frames.forces * factor), atoms, 300.0))
        assert words in text


def test_forces_of_other_frames_are_noticed(atoms):
    frames = frames_of(run_liquid())
    found = verdicts(frames.replace(forces=np.roll(frames.forces, 7, axis=0)), atoms)
    assert found["forces along bonds"] is Verdict.IMPOSSIBLE


def test_random_forces_of_a_thermostat_are_noticed(atoms):
    frames, rng = frames_of(run_liquid()), np.random.default_rng(0)
    noise = rng.normal(0, 500, frames.forces.shape)
    assert verdicts(frames.replace(forces=frames.forces + noise), atoms)["sum of forces"] is Verdict.ODD
    balanced = noise - noise.mean(axis=1, keepdims=True)  # this alone does not show in the sum
    assert verdicts(frames.replace(forces=frames.forces + balanced), atoms)["sum of forces"] is Verdict.GOOD


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "good"), (1.2, "odd"), (4.184, "impossible"), (0.01, "impossible")]
)
def test_velocities_are_compared_with_the_temperature(atoms, factor, verdict):
    frames = frames_of(run_liquid())
    energies = {"kinetic": frames.energies["kinetic"] * factor}
    assert verdicts(frames.replace(energies=energies), atoms)["kinetic temperature"] == verdict


def test_a_wrong_temperature_is_noticed_without_velocities(atoms):
    found = verdicts(frames_of(run_liquid(), kinetic=False), atoms, temperature=900.0)
    assert found["forces along bonds"] is Verdict.IMPOSSIBLE


def test_another_order_of_atoms_than_the_topology_has_is_refused(atoms):
    frames = frames_of(run_liquid())
    order = np.concatenate([np.arange(0, 128, 2), np.arange(1, 128, 2)])
    findings = inspect_frames(frames.replace(positions=frames.positions[:, order]), atoms, 300.0)
    assert {f.what: f.verdict for f in findings}["bond lengths"] is Verdict.IMPOSSIBLE


def test_frozen_atoms_and_forces_of_zero_are_noticed(atoms):
    frames = frames_of(run_liquid())
    positions = frames.positions.copy()
    positions[:, :10] = positions[0, :10]
    assert verdicts(frames.replace(positions=positions), atoms)["atoms that do not move"] is Verdict.ODD
    zero = verdicts(frames.replace(forces=np.zeros_like(frames.forces)), atoms)
    assert zero["rms force on an atom"] is Verdict.IMPOSSIBLE


def test_few_frames_are_told_to_be_few(atoms):
    findings = inspect_frames(frames_of(run_liquid(), n=4), atoms, 300.0)
    assert "4 frames, 8 would tell" in describe_findings(findings)


def test_the_refusal_says_all_that_is_impossible(atoms):
    frames = frames_of(run_liquid())
    wrong = frames.replace(positions=10 * frames.positions, box=10 * frames.box, forces=-frames.forces)
    with pytest.raises(
        InputError, match=r"run.dump: no such run can be\. .*bond lengths.*angstrom against nm.*forces along bonds"
    ):
        refuse_impossible(inspect_frames(wrong, atoms, 300.0), "run.dump")


def test_frames_without_box_and_forces_are_described_too(atoms):
    run = run_liquid()
    text = describe_findings(inspect_frames(Frames(positions=run.positions), atoms, 300.0))
    assert "no box" in text
    assert "no velocities" in text

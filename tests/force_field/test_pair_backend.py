"""Pair priors in the engine against the native forces and the float64 potentials."""

import copy
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import openmm
import pytest
import torch

from openmm_cgml.engine import DeployedPairs, choose_pair_backend
from openmm_cgml.engine.backends import PAIRS_FORCE_NAME
from openmm_cgml.engine.cpu import TabulatedPairs
from openmm_cgml.engine.pair_tables import tabulate_pairs
from openmm_cgml.engine.pythonforce import PairFunction
from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.potentials import PairPotential, evaluate
from tests.fixtures import benzene_box, displaced, package_environment, tiny_force_field

pytestmark = pytest.mark.backend
REPLICAS = 3


def forces_of(system, positions, platform="CPU"):
    properties = {"Threads": "1"} if platform == "CPU" else {}
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName(platform), properties
    )
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value


def names_of(system):
    return [force.getName() for force in system.getForces()]


def pair_potentials(force_field, topology):
    return [potential for potential in force_field.bind(topology) if isinstance(potential, PairPotential)]


@pytest.fixture(scope="module", params=[1, 3])
def box_of(request):
    topology, positions, box = benzene_box(request.param, 40)
    return tiny_force_field(request.param), topology, displaced(positions, box), np.asarray(box, float)


@pytest.mark.parametrize("network", [True, False])
@pytest.mark.parametrize("replicas", [1, REPLICAS])
def test_the_engine_gives_what_native_pair_forces_give(box_of, network, replicas):
    force_field, topology, positions, box = box_of
    force_field = force_field if network else replace(force_field, network=None)
    options = {"box": box, "ml_backend": "PythonForce", "replicas": replicas}
    x = np.concatenate([displaced(positions, box, seed=seed) for seed in range(replicas)])
    systems = [force_field.create_system(topology, pair_backend=name, **options) for name in ("native", "engine")]
    native_energy, native = forces_of(systems[0], x, "Reference")
    energy, forces = forces_of(systems[1], x)
    rms = np.sqrt((native**2).mean())
    assert energy == pytest.approx(native_energy, rel=1e-5)
    assert np.abs(forces - native).max() < 1e-4 * rms
    assert "prior: power repulsion" not in names_of(systems[1])
    assert names_of(systems[1])[-1] == ("network" if network else PAIRS_FORCE_NAME)
    if replicas == 1:
        assert "prior: power repulsion" in names_of(systems[0])
        systems[1].removeForce(systems[1].getNumForces() - 1)  # the control: what is compared is not next to nothing
        assert np.abs(forces_of(systems[1], x)[1] - native).max() > rms


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("sorted_from", [0, 10**6])
def test_pair_priors_alone_are_the_float64_potentials(monkeypatch, box_of, periodic, n_threads, sorted_from):
    from openmm_cgml.engine import pair_lists

    monkeypatch.setattr(pair_lists, "SORTED_FROM", sorted_from)
    force_field, topology, positions, box = box_of
    potentials = pair_potentials(force_field, topology)
    positions = positions if periodic else benzene_box(len(topology.masses) // 40, 40)[1]  # molecules in one piece
    cell = box if periodic else None
    energy, forces = evaluate(potentials, torch.tensor(positions), None if cell is None else torch.tensor(cell))
    deployed = DeployedPairs(pair_table=tabulate_pairs(potentials))
    found_energy, found = TabulatedPairs(deployed, n_threads=n_threads)(positions, cell)
    rms = float((forces**2).mean().sqrt())
    assert found_energy == pytest.approx(float(energy), rel=1e-7)
    assert np.abs(found - forces.numpy()).max() < 1e-5 * rms
    other = [potential.with_exclusions(np.zeros((0, 2), np.int64)) for potential in potentials]
    unlike = TabulatedPairs(DeployedPairs(pair_table=tabulate_pairs(other)))(positions, cell)[1]
    differs = np.abs(unlike - forces.numpy()).max() > 1e-2 * rms
    assert differs == (len(potentials[0].exclusions) > 0)  # the control: forgotten exclusions are seen


def test_pair_priors_alone_survive_copies_and_xml(box_of):
    force_field, topology, positions, box = box_of
    system = replace(force_field, network=None).create_system(topology, box=box, pair_backend="engine")
    energy, forces = forces_of(system, positions)
    text = openmm.XmlSerializer.serialize(system)
    for other in (copy.deepcopy(system), openmm.XmlSerializer.deserialize(text)):
        found = forces_of(other, positions)
        assert found[0] == energy
        np.testing.assert_array_equal(found[1], forces)


def test_pair_priors_alone_load_no_network_in_another_process(box_of, tmp_path):
    force_field, topology, positions, box = box_of
    deployed = DeployedPairs(pair_table=tabulate_pairs(pair_potentials(force_field, topology)))
    function = PairFunction(deployed, periodic=True)
    (tmp_path / "function").write_bytes(pickle.dumps(function))
    np.save(tmp_path / "x.npy", positions)
    np.save(tmp_path / "box.npy", box)
    code = (
        "import pickle, sys, numpy as np; from pathlib import Path; folder = Path(sys.argv[1]);"
        "f = pickle.loads((folder / 'function').read_bytes());"
        "print(f._evaluate(np.load(folder / 'x.npy'), np.load(folder / 'box.npy'))[0])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=package_environment(),
    )
    assert float(found.stdout) == function._evaluate(positions, box)[0]


def test_a_small_box_and_positions_that_are_nowhere_are_refused_without_a_network(box_of):
    force_field, topology, positions, box = box_of
    engine = TabulatedPairs(DeployedPairs(pair_table=tabulate_pairs(pair_potentials(force_field, topology))))
    with pytest.raises(SimulationError, match="less than twice the cutoff"):
        engine(positions, 0.3 * box)
    with pytest.raises(SimulationError, match="position of bead 5"):
        engine(np.where(np.arange(len(positions))[:, None] == 5, np.nan, positions), box)


def test_beads_that_are_no_copies_are_refused_without_a_network(box_of):
    force_field, topology, _, _ = box_of
    table = tabulate_pairs(pair_potentials(force_field, topology))
    with pytest.raises(InputError, match="cannot be 7 copies"):
        DeployedPairs(pair_table=table, n_replicas=7)


@pytest.mark.parametrize(
    ("asked", "platform", "expected"),
    [
        ("native", "CPU", "native"),
        ("engine", "CUDA", "engine"),
        ("auto", "CPU", "engine"),
        ("auto", "Reference", "native"),
        ("auto", "CUDA", "native"),
        ("auto", "OpenCL", "native"),
    ],
)
def test_the_engine_is_chosen_on_the_cpu_platform(asked, platform, expected):
    choice = choose_pair_backend(asked, platform=platform)
    assert choice.name == expected
    assert choice.reason


def test_without_a_platform_the_choice_is_for_the_one_that_openmm_takes(box_of):
    force_field, topology, _, box = box_of
    system = openmm.System()
    system.addParticle(1.0)
    taken = openmm.Context(system, openmm.VerletIntegrator(0.001)).getPlatform().getName()
    assert choose_pair_backend("auto").name == choose_pair_backend("auto", platform=taken).name
    plain = force_field.create_system(topology, box=box)
    assert "prior: power repulsion" in names_of(plain)  # unless asked for, nothing changes


def test_a_pair_backend_of_another_name_is_refused(box_of):
    force_field, topology, _, box = box_of
    with pytest.raises(InputError, match="unknown pair_backend 'table'; one of auto, native, engine"):
        force_field.create_system(topology, box=box, pair_backend="table")


def test_forces_are_added_to_a_system_with_the_pair_priors_in_the_engine(box_of):
    force_field, topology, positions, box = box_of
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*[openmm.Vec3(*row) for row in box])
    for mass in topology.masses:
        system.addParticle(mass)
    force_field.add_forces(system, topology, ml_backend="PythonForce", pair_backend="auto", platform="CPU")
    made = force_field.create_system(topology, box=box, ml_backend="PythonForce", pair_backend="engine")
    assert names_of(system) == names_of(made)
    assert forces_of(system, positions)[0] == pytest.approx(forces_of(made, positions)[0], rel=1e-6)

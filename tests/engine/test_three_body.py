"""The engine for three-body priors against their potential, in boxes of any shape and as time goes on."""

import numpy as np
import openmm
import pytest
import torch

from openmm_cgml.engine import DeployedThreeBody, choose_backend, create_ml_force
from openmm_cgml.engine.pair_parity import measure_pair_parity
from openmm_cgml.engine.pair_tables import tabulate_pairs
from openmm_cgml.engine.portable import pack_three_body, unpack_three_body
from openmm_cgml.engine.three_body import EvaluatedThreeBody
from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.potentials import evaluate
from tests.site_models import site_fluid, site_topology
from tests.three_body_models import three_body_priors

RELATIVE = 1e-5  # of the root mean square force; tables of pairs are within it


def deploy(kind, side, n_replicas=1, *, splines=True):
    topology = site_topology(kind, side**3).repeated(n_replicas)
    potentials = three_body_priors(kind, splines=splines, bonds=False)._bind_intermolecular(topology)
    table = tabulate_pairs(potentials[:-1]) if splines else None
    return potentials, DeployedThreeBody(three_body=potentials[-1], pair_table=table, n_replicas=n_replicas)


def expected(potentials, positions, box):
    cell = None if box is None else torch.tensor(box)
    energy, forces = evaluate(potentials, torch.tensor(positions), cell)
    return float(energy), forces.numpy()


def assert_close(found, wanted):
    scale = np.sqrt((wanted[1] ** 2).mean())
    assert scale > 5
    assert found[0] == pytest.approx(wanted[0], rel=1e-6, abs=1e-3)
    assert np.abs(found[1] - wanted[1]).max() < RELATIVE * scale


@pytest.mark.physics
@pytest.mark.parametrize("kind", ["R", "C"])
@pytest.mark.parametrize("shape", ["cubic", "tilted", "open"])
@pytest.mark.parametrize("splines", [True, False])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_engine_computes_what_the_potential_says(kind, shape, splines, n_threads):
    frames = site_fluid(kind, 4 if kind == "R" else 3, 1, tilted=shape == "tilted")
    potentials, deployed = deploy(kind, 4 if kind == "R" else 3, splines=splines)
    box = None if shape == "open" else frames.box[0]
    positions = frames.positions[0]
    if box is not None:
        positions = positions + np.random.default_rng(0).integers(-3, 4, positions.shape) @ box
    wanted = expected(potentials, positions, box)
    engine = EvaluatedThreeBody(deployed, n_threads=n_threads)
    assert_close(engine(positions, box), wanted)
    assert_close(engine(positions, box), wanted)
    # The control: a molecule that has moved has other forces.
    moved = positions.copy()
    moved[: 3 if kind == "R" else 4] += [0.05, 0, 0]
    assert np.abs(engine(moved, box)[1] - wanted[1]).max() > 1
    assert_close(engine(moved, box), expected(potentials, moved, box))


@pytest.mark.physics
def test_beads_that_are_sorted_by_place_have_the_same_forces():
    frames = site_fluid("R", 7, 1)
    potentials, deployed = deploy("R", 7)
    assert deployed.n_beads >= 1000
    engine = EvaluatedThreeBody(deployed, n_threads=2)
    assert_close(engine(frames.positions[0], frames.box[0]), expected(potentials, frames.positions[0], frames.box[0]))


@pytest.mark.physics
def test_replicas_do_not_see_each_other():
    frames = site_fluid("C", 3, 2)
    potentials, _ = deploy("C", 3)
    both = np.concatenate(frames.positions)
    wanted = [expected(potentials, positions, frames.box[0]) for positions in frames.positions]
    apart = EvaluatedThreeBody(deploy("C", 3, 2)[1], n_threads=1)(both, frames.box[0])
    assert_close(apart, (sum(e for e, _ in wanted), np.concatenate([f for _, f in wanted])))
    together = expected(deploy("C", 3, 2)[0], both, frames.box[0])
    assert np.abs(together[1] - apart[1]).max() > 10, "the control: as one system they do"


@pytest.mark.physics
@pytest.mark.backend
@pytest.mark.parametrize("splines", [True, False])
def test_a_copy_of_the_force_computes_the_same(splines):
    frames = site_fluid("C", 3, 1)
    potentials, deployed = deploy("C", 3, splines=splines)
    again = unpack_three_body(pack_three_body(deployed))
    wanted = expected(potentials, frames.positions[0], frames.box[0])
    assert_close(EvaluatedThreeBody(again, n_threads=1)(frames.positions[0], frames.box[0]), wanted)
    force = create_ml_force(deployed, periodic=True)
    system = openmm.System()
    for _ in range(deployed.n_beads):
        system.addParticle(20.0)
    system.setDefaultPeriodicBoxVectors(*map(openmm.Vec3._make, frames.box[0].tolist()))
    system.addForce(force)
    copied = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    for each in (system, copied):
        context = openmm.Context(each, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
        context.setPositions(frames.positions[0])
        state = context.getState(energy=True, forces=True)
        found = state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value
        assert_close(found, wanted)


@pytest.mark.physics
def test_the_comparison_before_a_run_sees_a_wrong_coefficient():
    frames = site_fluid("C", 3, 1)
    potentials, deployed = deploy("C", 3)
    positions, box = frames.positions[0], frames.box[0]
    assert measure_pair_parity(deployed, potentials, positions, box) < RELATIVE
    with pytest.raises(SimulationError, match="differ from them"):
        measure_pair_parity(deployed, potentials[:-1], positions, box)


def test_what_does_not_fit_is_refused():
    _, deployed = deploy("R", 3)
    _, other = deploy("R", 4)
    with pytest.raises(InputError, match="cannot be 2 copies"):
        DeployedThreeBody(three_body=deployed.three_body, n_replicas=2)
    with pytest.raises(InputError, match="bound to 192 beads, and the three-body priors to 81"):
        DeployedThreeBody(three_body=deployed.three_body, pair_table=other.pair_table)
    with pytest.raises(SimulationError, match="less than twice the cutoff"):
        EvaluatedThreeBody(deployed)(site_fluid("R", 3, 1).positions[0], np.eye(3))
    assert choose_backend("auto", has_three_body=True).name == "PythonForce"
    with pytest.raises(InputError, match="three-body priors are evaluated by the engine"):
        choose_backend("TorchForce", has_three_body=True)

"""Fading torsions in the engine against torch and against OpenMM's own force."""

import pickle
from dataclasses import replace

import numpy as np
import openmm
import pytest
from openmm import unit

from openmm_cgml.engine.torsions import TorsionFunction
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.topology import CGTopology, MoleculeTemplate
from tests.fixtures import POLYETHYLENE, POLYETHYLENE_CHAIN, tiny_chain_force_field
from tests.potentials.test_parity import BOXES, difference, from_torch, make_case

pytestmark = pytest.mark.skipif(not hasattr(openmm, "PythonForce"), reason="OpenMM has no PythonForce")


@pytest.mark.physics
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_the_kernel_equals_torch(box):
    case = make_case("fading torsion", box)
    function = TorsionFunction(case.potential, periodic=box is not None)
    ours = function.evaluate(case.positions, box)
    energy, largest, _ = difference(ours, from_torch(case.potential, case.positions, box))
    assert energy < 1e-9 and largest < 1e-7
    assert difference(ours, from_torch(case.wrong, case.positions, box))[1] > 1e-6, "the control"
    again = pickle.loads(pickle.dumps(function))
    np.testing.assert_array_equal(again.evaluate(case.positions, box)[1], ours[1])


def test_beads_in_line_feel_nothing():
    case = make_case("fading torsion", None, 1)
    line = np.array([[0.0, 0, 0], [0.3, 0, 0], [0.6, 0, 0], [0.9, 0.1, 0]])
    energy, forces = TorsionFunction(case.potential, periodic=False).evaluate(line, None)
    assert energy == 0.0 and not forces.any()
    # The control: bent they do, and a little beside the line they feel next to nothing.
    bent = line + np.array([[0, 0.2, 0.1], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    near = line + np.array([[0, 1e-5, 1e-5], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    sizes = [
        np.abs(TorsionFunction(case.potential, periodic=False).evaluate(each, None)[1]).max() for each in (bent, near)
    ]
    assert sizes[0] > 1 and sizes[1] < 1e-6 * sizes[0]


def with_torsions():
    plain = tiny_chain_force_field()
    kinds = plain.type_names
    quartets = {min(q, q[::-1]) for q in [(a, b, c, d) for a in kinds for b in kinds for c in kinds for d in kinds]}
    parameters = {f"k{n}": value for n, value in enumerate([3.0, -1.0, 0.5, 0, 0, 0], start=1)}
    terms = [PriorTerm(form="fading_torsion", types=types, parameters=parameters) for types in sorted(quartets)]
    kept = [term for term in plain.priors.terms if "torsion" not in term.form]
    return replace(plain, priors=replace(plain.priors, terms=(*kept, *terms)), network=None)


def test_a_system_takes_the_kernel_where_the_engine_evaluates_pairs():
    force_field = with_torsions()
    names = POLYETHYLENE_CHAIN.residues(6)
    molecule = MoleculeTemplate.from_names(names, POLYETHYLENE, (POLYETHYLENE_CHAIN,))
    topology = CGTopology.from_molecules([(molecule, 1)], type_names=force_field.type_names)
    positions = np.cumsum(np.random.default_rng(0).normal(scale=0.1, size=(topology.n_beads, 3)), axis=0)
    box = 6.0 * np.eye(3)
    found = {}
    for backend in ("native", "engine"):
        system = force_field.create_system(topology, box=box, pair_backend=backend)
        (force,) = [each for each in system.getForces() if each.getName() == "prior: fading torsion"]
        assert isinstance(force, openmm.PythonForce if backend == "engine" else openmm.CustomCompoundBondForce)
        copy = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
        context = openmm.Context(copy, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
        context.setPositions(positions)
        state = context.getState(energy=True, forces=True, groups={force.getForceGroup()})
        found[backend] = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    np.testing.assert_allclose(found["engine"], found["native"], atol=1e-6 * np.abs(found["native"]).max())
    assert np.abs(found["native"]).max() > 1.0


def test_the_priors_are_read_back(tmp_path):
    priors = with_torsions().priors
    assert PriorSet.from_json(priors.to_json()).terms == priors.terms
    assert '"version": "1.6"' in priors.to_json()

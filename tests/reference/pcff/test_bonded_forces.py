import numpy as np
import openmm
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.reference.pcff.bonded_forces import create_bonded_forces
from openmm_cgml.reference.pcff.internal_coordinates import InternalCoordinates
from openmm_cgml.reference.pcff.lookup import ParameterLookup
from tests.reference.pcff import class2, made_up, molecules

ETHENE = (
    1.35 / 10 * np.array([[0.5, 0, 0], [-0.5, 0, 0], [0.9, 0.7, 0], [0.9, -0.7, 0], [-0.9, 0.7, 0], [-0.9, -0.7, 0]])
)
TERMS = {
    "PCFF bonds": ("quartic_bond",),
    "PCFF angles": ("quartic_angle", "bond-bond", "bond-angle"),
    "PCFF torsions": (
        "torsion_3", "middle_bond-torsion_3", "end_bond-torsion_3", "angle-torsion_3", "angle-angle-torsion_1", "bond-bond_1_3",
    ),
    "PCFF angle-angle": ("angle-angle",),
    "PCFF out of plane": ("wilson_out_of_plane",),
}  # fmt: skip


def ethene():
    topology = molecules.molecule(
        [molecules.CARBON] * 2 + [molecules.HYDROGEN] * 4, [(0, 1), (0, 2), (0, 3), (1, 4), (1, 5)]
    )
    return topology, ["cp"] * 2 + ["h"] * 4, ETHENE + np.random.default_rng(1).normal(0.0, 0.012, (6, 3))


def butane():
    topology, positions = molecules.alkane([70], noise=0.01)
    return topology, ["c3", "c2", "c2", "c3"] + ["hc"] * 10, positions


def evaluate(forces, positions):
    system = openmm.System()
    for _ in positions:
        system.addParticle(1.0)
    for group, force in enumerate(forces):
        force.setForceGroup(group)
        system.addForce(force)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPositions(positions)
    energies = {
        force.getName(): context.getState(energy=True, groups={group}).getPotentialEnergy()._value
        for group, force in enumerate(forces)
    }
    return energies, np.asarray(context.getState(forces=True).getForces(asNumpy=True)._value)


@pytest.fixture(params=[ethene, butane], ids=["ethene", "butane"])
def case(request, tmp_path):
    topology, types, positions = request.param()
    return InternalCoordinates.from_topology(topology), types, positions, made_up.parameters(tmp_path)


def test_every_force_has_the_energy_of_its_terms(case):
    coordinates, types, positions, parameters = case
    energies, _ = evaluate(create_bonded_forces(coordinates, types, ParameterLookup(parameters)), positions)
    expected = class2.energies(positions, coordinates, types, ParameterLookup(parameters).find)
    # Each term is large enough to be missed if it were wrong; an alkane has two less than ethene.
    assert sum(abs(value) > 1e-3 for value in expected.values()) == (12 if "cp" in types else 10)
    assert energies == pytest.approx(
        {name: sum(expected[term] for term in terms) for name, terms in TERMS.items()}, rel=1e-9, abs=1e-9
    )


def test_forces_are_the_slope_of_the_written_out_energy(tmp_path):
    topology, types, positions = ethene()
    coordinates, lookup = InternalCoordinates.from_topology(topology), ParameterLookup(made_up.parameters(tmp_path))
    _, forces = evaluate(create_bonded_forces(coordinates, types, lookup), positions)
    step, slope = 1e-6, np.zeros_like(positions)
    for index in np.ndindex(positions.shape):
        shifted = []
        for sign in (1, -1):
            moved = positions.copy()
            moved[index] += sign * step
            shifted.append(sum(class2.energies(moved, coordinates, types, lookup.find).values()))
        slope[index] = (shifted[0] - shifted[1]) / (2 * step)
    np.testing.assert_allclose(forces, -slope, atol=1e-6 * np.abs(forces).max())


def test_rigid_bonds_have_no_bond_term(tmp_path):
    topology, types, _ = butane()
    coordinates = InternalCoordinates.from_topology(topology)
    lookup = ParameterLookup(made_up.parameters(tmp_path))
    bonds = create_bonded_forces(coordinates, types, lookup, rigid_bonds=[(0, 1)])[0]
    assert [bonds.getBondParameters(i)[:2] for i in range(bonds.getNumBonds())] == [
        list(b) for b in coordinates.bonds[1:]
    ]


def test_phases_other_than_0_and_180_are_refused(tmp_path):
    text = made_up.TEXT.replace("2.5  180.0", "2.5  90.0")
    topology, types, _ = ethene()
    with pytest.raises(InputError, match=r"torsion h-cp-cp-h has the phase 90 deg"):
        create_bonded_forces(
            InternalCoordinates.from_topology(topology), types, ParameterLookup(made_up.parameters(tmp_path, text))
        )


def test_out_of_plane_references_other_than_0_are_refused(tmp_path):
    text = made_up.TEXT.replace("h  cp cp h  5.0 0.0", "h  cp cp h  5.0 3.0")
    topology, types, _ = ethene()
    with pytest.raises(InputError, match=r"out of plane cp-cp-h-h has the reference 3 deg"):
        create_bonded_forces(
            InternalCoordinates.from_topology(topology), types, ParameterLookup(made_up.parameters(tmp_path, text))
        )

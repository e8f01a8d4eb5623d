from itertools import permutations

from openmm import app

from openmm_cgml.reference.pcff.internal_coordinates import InternalCoordinates
from tests.reference.pcff import molecules


def ring(n):
    topology = app.Topology()
    residue = topology.addResidue("RNG", topology.addChain())
    atoms = [topology.addAtom(f"C{i}", molecules.CARBON, residue) for i in range(n)]
    for i in range(n):
        topology.addBond(atoms[i], atoms[(i + 1) % n])
    return InternalCoordinates.from_topology(topology)


def test_butane_has_as_many_coordinates_as_counted_by_hand():
    coordinates = InternalCoordinates.from_topology(molecules.alkane([180])[0])
    assert len(coordinates.bonds) == 13
    assert len(coordinates.angles) == 4 * 6  # pairs of the four neighbors of each carbon
    assert len(coordinates.torsions) == 3 * 9
    assert len(coordinates.centers) == 4 * 4
    assert coordinates.trigonal_centers == []
    assert len(coordinates.exclusions) == 13 + 24


def test_torsions_run_along_bonds_and_come_once():
    coordinates = InternalCoordinates.from_topology(molecules.toluene()[0])
    bonds = set(coordinates.bonds)
    for i, j, k, m in coordinates.torsions:
        assert all((min(pair), max(pair)) in bonds for pair in ((i, j), (j, k), (k, m)))
        assert len({i, j, k, m}) == 4
    seen = set(coordinates.torsions)
    assert len(seen) == len(coordinates.torsions)
    assert not seen & {atoms[::-1] for atoms in seen}


def test_trigonal_centers_are_those_with_three_neighbors():
    coordinates = InternalCoordinates.from_topology(molecules.toluene()[0])
    assert [center[1] for center in coordinates.trigonal_centers] == [0, 1, 2, 3, 4, 5]


def test_closed_rings_have_no_coordinate_with_an_atom_twice():
    assert len(ring(3).torsions) == 0
    assert ring(3).exclusions == [(0, 1), (0, 2), (1, 2)]
    assert len(ring(4).torsions) == 4
    assert len(ring(4).exclusions) == len(list(permutations(range(4), 2))) / 2

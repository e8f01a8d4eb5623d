import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.topology import AtomTopology
from openmm_cgml.trajectories.constraints import constraints_by_name, find_constraints, next_neighbors
from openmm_cgml.trajectories.topology_files import read_atom_topology
from tests.trajectories.liquid import BONDS, run_liquid, write_data


@pytest.fixture(scope="module")
def diatomics(tmp_path_factory):
    return read_atom_topology(write_data(tmp_path_factory.mktemp("t") / "a.data")).atoms


def frames_of(run, n=40):
    return Frames(positions=run.positions[:n], box=np.tile(run.box, (n, 1, 1)))


def test_constrained_bonds_are_found_and_others_are_not(diatomics):
    np.testing.assert_array_equal(find_constraints(frames_of(run_liquid(constrained=True)), diatomics), BONDS)
    assert find_constraints(frames_of(run_liquid()), diatomics).shape == (0, 2)


def water(spread):
    """Waters with bonds and the H-H distance of a relative spread."""
    rng = np.random.default_rng(3)
    n, k = 200, 30
    shape = np.array([[0, 0, 0], [0.0957, 0, 0], [-0.024, 0.0927, 0]])
    scale = 1 + spread * rng.normal(size=(k, n, 1, 1))
    positions = (rng.uniform(0, 9, (n, 1, 3)) + scale * shape).reshape(k, 3 * n, 3)
    residues = np.repeat(np.arange(n), 3)
    bonds = np.array([[3 * i, 3 * i + j] for i in range(n) for j in (1, 2)])
    topology = AtomTopology(
        names=("O", "H1", "H2") * n, elements=("O", "H", "H") * n, masses=np.tile([16.0, 1.0, 1.0], n), residues=residues,
        residue_names=("HOH",) * n, molecules=residues, bonds=bonds, constraints=np.zeros((0, 2), int),
    )  # fmt: skip
    return Frames(positions=positions, box=np.tile(np.eye(3) * 10, (k, 1, 1))), topology


def test_a_rigid_water_has_three_constraints():
    frames, topology = water(1e-4)
    found = find_constraints(frames, topology)
    assert len(found) == 600
    assert sorted(map(tuple, found[(found < 3).all(axis=1)].tolist())) == [(0, 1), (0, 2), (1, 2)]


def test_distances_between_a_constraint_and_a_bond_are_asked_for():
    with pytest.raises(InputError, match="say which were constrained"):
        find_constraints(*water(4e-3))


def test_few_frames_do_not_tell(diatomics):
    with pytest.raises(InputError, match="5 frames do not tell"):
        find_constraints(frames_of(run_liquid(), 5), diatomics)


def test_usual_kinds_have_names():
    _, topology = water(0.0)
    assert len(constraints_by_name("none", topology)) == 0
    assert len(constraints_by_name("hydrogens", topology)) == len(constraints_by_name("bonds", topology)) == 400
    with pytest.raises(InputError, match="known are none, hydrogens, bonds"):
        constraints_by_name("some", topology)


def test_next_neighbors_of_a_chain_and_a_triangle():
    def of(bonds, n):
        return AtomTopology(
            names=("C",) * n, elements=("C",) * n, masses=np.full(n, 12.0), residues=np.zeros(n, int), residue_names=("X",),
            molecules=np.zeros(n, int), bonds=np.array(bonds), constraints=np.zeros((0, 2), int),
        )  # fmt: skip

    assert next_neighbors(of([[0, 1], [1, 2], [2, 3]], 4)).tolist() == [[0, 2], [1, 3]]
    assert next_neighbors(of([[0, 1], [1, 2], [0, 2]], 3)).tolist() == []

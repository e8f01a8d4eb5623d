import numpy as np
import pytest

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.dataset.conformations import (
    Conformations,
    compute_conformations,
    conformations_of,
)
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology, MoleculeTemplate
from tests.fixtures import BENZENE_3, POLYETHYLENE, POLYETHYLENE_CHAIN

TYPES = ("CH3", "CH2")
CHAIN = MoleculeTemplate.from_names(POLYETHYLENE_CHAIN.residues(4), POLYETHYLENE, [POLYETHYLENE_CHAIN])
TOPOLOGY = CGTopology.from_molecules([(CHAIN, 2)], TYPES)


def walks(seed=0, n_frames=40):
    """Chains of random steps of length 1."""
    steps = np.random.default_rng(seed).normal(size=(n_frames, 2, 8, 3))
    return np.cumsum(steps / np.linalg.norm(steps, axis=-1, keepdims=True), axis=2).reshape(n_frames, 16, 3)


def test_everything_is_counted_once_by_its_types():
    found = conformations_of(TOPOLOGY, walks())
    assert {types: int(c.sum()) for types, c in found.angles.items()} == {
        ("CH2", "CH2", "CH2"): 2 * 40 * 4,
        ("CH2", "CH2", "CH3"): 2 * 40 * 2,
    }
    torsions = {types: int(c.sum()) for types, c in found.torsions.items()}
    assert torsions == {("CH2",) * 4: 2 * (2 * 40 * 3), ("CH2", "CH2", "CH2", "CH3"): 2 * (2 * 40 * 2)}  # and mirrored
    assert all(np.array_equal(c, c[::-1]) for c in found.torsions.values())


def test_pairs_of_torsions_keep_their_direction():
    found = conformations_of(TOPOLOGY, walks(n_frames=2000))
    end = found.torsion_pairs[("CH2", "CH2", "CH2", "CH2", "CH3")].astype(float)
    assert np.array_equal(end, end[::-1, ::-1])
    # The second torsion of the pair is the one that ends at CH3.
    last = found.torsions[("CH2", "CH2", "CH2", "CH3")].reshape(20, 3).sum(axis=1)
    assert np.array_equal(end.sum(axis=0), last)
    middle = found.torsion_pairs[("CH2",) * 5]
    assert np.array_equal(middle, middle.T)


def test_rings_and_molecules_without_torsions_are_left_out():
    topology = CGTopology.from_residues([(BENZENE_3, 3)])
    found = conformations_of(topology, np.random.default_rng(0).normal(size=(2, 9, 3)))
    assert not (found.angles or found.torsions or found.torsion_pairs)


def test_they_come_from_a_dataset_and_back_from_json(tmp_path):
    positions = walks()
    frames = Frames(positions=positions, forces=np.ones_like(positions), box=np.tile(20 * np.eye(3), (40, 1, 1)))
    dataset = ForceMatchingDataset.create(
        tmp_path / "d", [frames], topology=TOPOLOGY, temperature=300.0, mapping_fingerprint="m", source={},
        templates=POLYETHYLENE, chains=[POLYETHYLENE_CHAIN],
    )  # fmt: skip
    found = compute_conformations(dataset, n_frames=10)
    assert sum(c.sum() for c in found.angles.values()) == 10 * 2 * 6
    again = Conformations.from_dict(found.to_dict(), TYPES)
    assert again.to_dict() == found.to_dict()


def test_counts_of_several_data_add_up():
    positions = walks()
    parts = [conformations_of(TOPOLOGY, positions[:15]), conformations_of(TOPOLOGY, positions[15:])]
    assert Conformations.together(parts).to_dict() == conformations_of(TOPOLOGY, positions).to_dict()


def test_type_names_may_hold_hyphens_and_wrong_histograms_are_refused():
    content = {"angles": {"A-B-A-B-A": [1] * 60}}
    assert list(Conformations.from_dict(content, ["A-B", "A"]).angles) in ([("A", "B", "A")], [("A-B", "A-B", "A")])
    for wrong in (
        {"angles": {"A-A-A": [1] * 59}},
        {"angles": {"A-A-X": [1] * 60}},
        {"torsions": {"A-A-A-A": [-1] * 60}},
    ):
        with pytest.raises(InputError, match="conformations"):
            Conformations.from_dict(wrong, ["A"])

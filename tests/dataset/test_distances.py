import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.dataset.distances import DistanceRecord
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology, ResidueTemplate
from tests.atoms import CUBIC, TRICLINIC

CHAIN = ResidueTemplate(
    name="CHN", bead_names=("E1", "M1", "M2", "E2"), bead_type_names=("E", "M", "M", "E"), masses=(1.0,) * 4,
    bonds=((0, 1), (1, 2), (2, 3)),
)  # fmt: skip


def all_distances(positions, box):
    vectors = positions[:, None] - positions[None]
    vectors -= np.rint(vectors @ np.linalg.inv(box)) @ box
    shifts = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]) @ box
    return np.linalg.norm(vectors[:, :, None] + shifts, axis=-1).min(axis=2)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_records_match_a_direct_search(seed):
    rng = np.random.default_rng(seed)
    topology = CGTopology.from_residues([(CHAIN, 3)])
    steps = rng.normal(scale=0.15, size=(5, 3, 4, 3))
    positions = (rng.random((5, 3, 1, 3)) * 2.5 + np.cumsum(steps, axis=2)).reshape(5, 12, 3)
    record = DistanceRecord(topology, 1.0)
    frames = Frames(positions=positions, box=np.tile(TRICLINIC, (5, 1, 1)))
    record.add(frames[:2])
    record.add(frames[2:])
    distances = np.array([all_distances(frame, TRICLINIC) for frame in positions])
    i, j = np.triu_indices(12, k=1)
    same = topology.molecules[i] == topology.molecules[j]
    bonded = same & (j == i + 1)
    for found in record.result():
        names = np.array([topology.type_names[t] for t in topology.bead_types])
        of_types = np.array([sorted((names[a], names[b])) == sorted(found.types) for a, b in zip(i, j, strict=True)])
        for value, pairs in ((found.closest_inter, ~same), (found.closest_intra, same & ~bonded)):
            chosen = of_types & pairs
            closest = distances[:, i[chosen], j[chosen]].min() if chosen.any() else np.inf
            assert value == pytest.approx(closest) if closest < record.search_range else value is None
        chosen = of_types & bonded
        lengths = np.linalg.norm(positions[:, i[chosen]] - positions[:, j[chosen]], axis=2)
        if chosen.any():
            assert (found.bonded_min, found.bonded_max) == pytest.approx((lengths.min(), lengths.max()))
            assert (found.bonded_mean, found.bonded_std) == pytest.approx((lengths.mean(), lengths.std()))
        else:
            assert found.bonded_min is None


def test_a_closer_approach_in_a_later_frame_is_found():
    topology = CGTopology.from_residues([(CHAIN, 2)])
    positions = np.zeros((2, 8, 3))
    positions[:, :, 0] = 0.2 * np.arange(8)
    positions[0, 4:, 1], positions[1, 4:, 1] = 0.5, 0.3
    record = DistanceRecord(topology, 0.8)
    record.add(Frames(positions=positions))
    assert min(d.closest_inter for d in record.result()) == pytest.approx(np.hypot(0.2, 0.3))


def test_a_chain_that_meets_its_own_image_approaches_another_molecule():
    positions = np.array([[[0.1, 0, 0], [0.9, 0, 0], [1.7, 0, 0], [2.5, 0.3, 0]]])
    topology = CGTopology.from_residues([(CHAIN, 1)])
    for moved in (positions, positions + np.array([[0.0], [0.0], [0.0], [2.5]])):
        record = DistanceRecord(topology, 1.0)
        record.add(Frames(positions=moved, box=CUBIC[None]))
        found = {distances.types: distances for distances in record.result()}
        assert found["E", "E"].closest_inter == pytest.approx(np.hypot(0.1, 0.3))
        assert found["E", "E"].closest_intra is None  # 2.4 nm apart in the chain itself
        assert found["E", "M"].closest_inter == pytest.approx(0.9)


def test_a_search_range_of_zero_is_refused():
    with pytest.raises(InputError, match="search range 0 nm"):
        DistanceRecord(CGTopology.from_residues([(CHAIN, 1)]), 0)

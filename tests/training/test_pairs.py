import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.training.pairs import PairFinder, PairRule
from tests.long_chains import BOX, WRAPPINGS, chain_topology, grown_chains, image_pairs, rewrapped
from tests.training.dimers import EDGE, dimer_frames, dimer_topology


def _brute_force(positions: np.ndarray, box: np.ndarray) -> dict[tuple[int, int], float]:
    n = len(positions)
    shifts = np.array([[a, b, c] for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)]) @ box
    wrapped = positions - np.floor(positions @ np.linalg.inv(box)) @ box
    return {
        (i, j): float(np.linalg.norm(wrapped[j] - wrapped[i] + shifts, axis=1).min())
        for i in range(n)
        for j in range(i + 1, n)
    }


@pytest.mark.parametrize("intra_cutoff", [0.0, 0.5, 0.7, 0.9])
def test_pairs_are_those_of_a_search_over_all_images(intra_cutoff):
    topology, frames = dimer_topology(), dimer_frames(1)
    found = PairFinder(topology, PairRule(cutoff=0.7, intra_cutoff=intra_cutoff)).find(
        frames.positions[0], frames.box[0]
    )
    expected = _brute_force(frames.positions[0], frames.box[0])
    molecules = topology.molecules
    inter = {p for p, r in expected.items() if r < 0.7 and molecules[p[0]] != molecules[p[1]]}
    intra = {p for p, r in expected.items() if r < intra_cutoff and molecules[p[0]] == molecules[p[1]]}
    assert set(map(tuple, found.inter.T.tolist())) == inter
    assert set(map(tuple, found.intra.T.tolist())) == intra
    assert inter and (intra or not intra_cutoff)
    assert np.all(np.diff(found.inter[0]) >= 0)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_chain_and_its_own_images_are_intermolecular_pairs(wrapping, dtype):
    topology, whole = chain_topology(), grown_chains()
    positions = rewrapped(whole, wrapping).astype(dtype)
    found = PairFinder(topology, PairRule(cutoff=0.8, intra_cutoff=0.8)).find(positions, BOX)
    inter, intra = image_pairs(topology, whole, 0.8)
    assert set(map(tuple, found.inter.T.tolist())) == set(map(tuple, inter[0].T.tolist()))
    assert set(map(tuple, found.intra.T.tolist())) == set(map(tuple, intra[0].T.tolist()))
    assert (topology.molecules[found.inter[0]] == topology.molecules[found.inter[1]]).any()


def test_bonded_pairs_are_left_out_when_excluded():
    topology, frames = dimer_topology(), dimer_frames(1)
    rule = PairRule(cutoff=0.7, intra_cutoff=0.7, exclude_bonds=1)
    found = PairFinder(topology, rule).find(frames.positions[0], frames.box[0])
    assert found.intra.shape == (2, 0)


def test_cutoff_beyond_half_the_box_is_refused():
    frames = dimer_frames(1)
    with pytest.raises(InputError, match=f"{EDGE:g} nm wide"):
        PairFinder(dimer_topology(), PairRule(cutoff=1.1)).find(frames.positions[0], frames.box[0])

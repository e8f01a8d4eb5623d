import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.judging import draw_mapping, judge_mapping, suggest_mappings
from openmm_cgml.judging.picture import flat_layout
from openmm_cgml.judging.structure import judge_structure
from openmm_cgml.mapping import mapping_from_labels, mapping_from_specification
from openmm_cgml.mapping.heavy_atoms import bond_distances
from openmm_cgml.mapping.labels import labels_of_groups, residue_groups
from tests.atoms import benzene_atoms, benzene_frames
from tests.mapping.test_labels import chain_atoms, solution


def test_candidates_are_connected_systems_and_the_same_ones_come_once():
    atoms = benzene_atoms(3)
    candidates = suggest_mappings(
        atoms, [1, 2, 3], temperature=300.0, methods=("partition", "variance", "spectral", "metis")
    )
    assert candidates[0].name == "1-bead" and set(candidates[0].methods) >= {"partition", "variance", "spectral"}
    assert len({candidate.labels.tobytes() for candidate in candidates}) == len(candidates)
    assert len({candidate.name for candidate in candidates}) == len(candidates)
    for candidate in candidates:
        assert judge_structure(atoms, candidate.labels).disconnected == 0
        mapping = mapping_from_specification(candidate.specification, atoms)
        assert mapping.n_beads == candidate.labels.max() + 1


def test_three_beads_of_benzene_are_suggested_as_adjacent_pairs():
    atoms = benzene_atoms(3)
    (candidate,) = suggest_mappings(atoms, [3], temperature=300.0)
    assert candidate.methods == ("partition", "variance")
    kept = judge_structure(atoms, candidate.labels)
    assert round(1 - kept.network_variance_kept, 2) == 0.36 and kept.uneven_atoms == 0


def test_of_all_arcs_of_the_ring_the_one_is_suggested_that_keeps_most_of_the_trajectory():
    atoms, frames = benzene_atoms(3), benzene_frames(3, 60)
    moved = frames.positions.copy()
    moved.reshape(60, 3, 12, 3)[:, :, [2, 8]] += np.random.default_rng(0).normal(scale=0.15, size=(60, 3, 1, 3))
    frames = frames.replace(positions=moved)
    kept = {}
    for first in range(6):
        for length in (1, 2, 3):
            arc = [int((carbon - first) % 6 < length) for carbon in range(6)]
            labels = labels_of_groups(residue_groups(atoms), [arc * 2], 36)
            mapping = mapping_from_labels(atoms, labels)
            kept[frozenset(np.flatnonzero(arc).tolist())] = judge_mapping(
                mapping, atoms, frames, temperature=300.0, fit_pairs=False
            ).variance_kept
    (found,) = suggest_mappings(atoms, [2], temperature=300.0, methods=["variance"], frames=frames)
    parts = [frozenset(np.flatnonzero(found.labels[:6] == bead).tolist()) for bead in (0, 1)]
    assert max(kept, key=kept.get) in parts
    assert max(kept, key=kept.get) >= {2}  # it holds the atom that moves


def test_small_molecules_have_no_more_beads_than_heavy_atoms():
    (candidate,) = suggest_mappings(solution(), [3], temperature=300.0, methods=["partition"])
    assert [len(residue.beads) for residue in candidate.specification.residues] == [3, 1]


def test_chains_are_suggested_with_ends_divided_as_their_body():
    (candidate,) = suggest_mappings(chain_atoms(), [2], temperature=300.0)
    assert {r.name: [b.type for b in r.beads] for r in candidate.specification.residues} == {
        "PEH": ["CH3", "CH2"], "PEM": ["CH2", "CH2"], "PET": ["CH2", "CH3"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"methods": ["magic"]}, "methods magic; known are partition"), ({"n_beads": [0]}, "positive numbers")],
)
def test_what_cannot_be_suggested_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        suggest_mappings(benzene_atoms(1), **{"n_beads": [1], "temperature": 300.0, **changes})


def test_a_picture_has_a_panel_for_each_kind_and_a_mark_for_each_heavy_atom():
    figure = draw_mapping(solution(), np.where(np.arange(33) < 24, 0, -1), title="x")
    first, second = figure.axes
    assert len(first.collections[0].get_offsets()) == 6 and len(second.collections[0].get_offsets()) == 1
    assert [text.get_text() for text in first.texts] == ["CH"] * 6
    assert [text.get_text() for text in second.texts] == ["OH$_{2}$"]


def test_cut_bonds_are_dashed():
    figure = draw_mapping(benzene_atoms(1), [0, 0, 1, 1, 2, 2] * 2)
    styles = [line.get_linestyle() for line in figure.axes[0].lines]
    assert sorted(styles) == ["-"] * 3 + ["--"] * 3


def test_a_ring_is_laid_out_as_one():
    adjacency = np.zeros((6, 6), dtype=bool)
    for i in range(6):
        adjacency[i, (i + 1) % 6] = adjacency[(i + 1) % 6, i] = True
    places = flat_layout(adjacency, bond_distances(adjacency))
    radii = np.linalg.norm(places - places.mean(axis=0), axis=1)
    assert radii.std() < 0.05 * radii.mean()
    bonds = [np.linalg.norm(places[i] - places[(i + 1) % 6]) for i in range(6)]
    assert np.std(bonds) < 0.1 * np.mean(bonds)

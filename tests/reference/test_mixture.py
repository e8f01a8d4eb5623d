"""Boxes of several kinds of small molecules, from files."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.dataset import map_recording
from openmm_cgml.errors import InputError
from openmm_cgml.reference import MeanForceConfig, ReferenceConfig, compute_mean_forces, run_reference
from openmm_cgml.reference.atomistic_box import scale_centers
from openmm_cgml.reference.liquid_box import lattice_density, place_on_lattice
from openmm_cgml.reference.mixture import mixture_of, share_out
from openmm_cgml.reference.plan import make_plan
from openmm_cgml.reference.report import ReferenceReport
from openmm_cgml.shards import FrameStore
from openmm_cgml.specification import read_specification
from tests.reference.test_system_of_files import FORCE_FIELD, MOLECULE, SYSTEM

ARGON = """HETATM    1 AR1  ARG A   1       0.000   0.000   0.000  1.00  0.00          Ar
END
"""
FILES = {
    "system.yaml": SYSTEM.replace(
        "reference:",
        "  - name: ARG\n    count: 9\n    atoms: [{name: AR1, element: Ar}]\n"
        "    beads: [{name: B1, type: AR, atoms: [AR1]}]\nreference:",
    ).replace("molecule: chlorine.pdb", "molecule: {CLM: chlorine.pdb, ARG: argon.pdb}"),
    "chlorine.pdb": MOLECULE,
    "argon.pdb": ARGON,
    "chlorine.xml": FORCE_FIELD.replace(
        "</AtomTypes>", '<Type name="Ar" class="Ar" element="Ar" mass="39.948"/></AtomTypes>'
    )
    .replace("</Residues>", '<Residue name="ARG"><Atom name="AR1" type="Ar"/></Residue></Residues>')
    .replace("</NonbondedForce>", '<Atom type="Ar" charge="0" sigma="0.34" epsilon="0.996"/></NonbondedForce>'),
}
QUICK = {
    "relaxation_duration": 0.04, "duration": 0.2, "frame_interval": 0.01, "density": 0.7, "platform": "CPU",
    "threads": 1,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@given(counts=st.lists(st.integers(1, 500), min_size=1, max_size=5), extra=st.integers(0, 1000))
def test_shares_add_up_and_follow_the_proportions(counts, extra):
    total = len(counts) + extra
    shares = share_out(total, counts)
    assert sum(shares) == total and min(shares) >= 1
    wanted = np.array(counts) * total / sum(counts)
    if wanted.min() >= 1:
        assert np.abs(shares - wanted).max() < 1
    assert share_out(sum(counts), counts) == counts


def test_fewer_molecules_than_kinds_are_refused():
    with pytest.raises(InputError, match="1 molecules of 2 kinds"):
        share_out(1, [400, 100])


@settings(deadline=None, max_examples=25)
@given(scale=st.floats(0.5, 2.0), sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_scaling_moves_centers_of_molecules_of_any_size(scale, sizes):
    sizes = np.array(sizes)
    before = np.random.default_rng(0).normal(size=(sizes.sum(), 3))
    after = scale_centers(before, sizes, scale)
    ends = np.cumsum(sizes)
    for start, end in zip(ends - sizes, ends, strict=True):
        center = before[start:end].mean(axis=0)
        np.testing.assert_allclose(after[start:end] - scale * center, before[start:end] - center, atol=1e-12)


def test_kinds_are_mixed_on_the_lattice_and_stay_whole(folder):
    mixture = mixture_of(read_specification(folder))
    assert mixture.counts == (27, 9) and mixture.sizes.tolist() == [2] * 27 + [1] * 9
    placed = place_on_lattice(mixture, 4.0, 1)
    lengths = np.linalg.norm(placed[0:54:2] - placed[1:54:2], axis=1)
    np.testing.assert_allclose(lengths, 0.199, atol=1e-6)
    argon = placed[54:]
    assert argon[:, 0].min() < 2.0 < argon[:, 0].max()  # not all in the last layers
    assert 0 < lattice_density(mixture) <= 0.59


def test_long_molecules_start_on_a_wider_lattice(folder):
    text = (folder / "chlorine.pdb").read_text().replace("   1.990", "   9.990")
    (folder / "chlorine.pdb").write_text(text)
    mixture = mixture_of(read_specification(folder))
    spacing = (mixture.total_mass / mixture.n_molecules / lattice_density(mixture) / 602.214076) ** (1 / 3)
    assert spacing > 0.999


@pytest.mark.slow
def test_mixture_is_simulated_mapped_and_reported_by_pairs_of_kinds(folder):
    specification = read_specification(folder)
    result = run_reference(specification, folder / "run", ReferenceConfig(**QUICK))
    store = FrameStore.open(result.recording)
    assert store.metadata["source"]["counts"] == {"CLM": 27, "ARG": 9}
    assert set(result.report.pair_rdfs) == {"CLM-CLM", "CLM-ARG", "ARG-ARG"}
    total = sum(rdf.counts.sum() for rdf in result.report.pair_rdfs.values())
    assert total == result.report.rdf.counts.sum() > 0
    assert any(note.startswith("a mixture") for note in result.report.notes)
    assert ReferenceReport.from_json(result.report.to_json()).pair_rdfs.keys() == result.report.pair_rdfs.keys()
    dataset = map_recording(result.recording, specification, folder / "data")
    frames = dataset.frames()
    assert dataset.topology.n_beads == 36
    # One bead a molecule: all of its force is intermolecular.
    np.testing.assert_allclose(frames.forces, frames.forces_inter, atol=0.5)
    config = MeanForceConfig(configurations=1, duration=0.1, sample_interval=0.01, equilibration=0.01, platform="CPU")
    means, _ = compute_mean_forces(result.recording, specification, folder / "mean", config)
    assert means.topology.n_beads == 36
    with pytest.raises(InputError, match="counts: was"):
        changed = FILES["system.yaml"].replace("count: 27", "count: 26").replace("count: 9", "count: 10")
        (folder / "system.yaml").write_text(changed)
        run_reference(read_specification(folder), folder / "run", ReferenceConfig(**QUICK), resume=True)


def test_number_of_molecules_is_shared_out(folder):
    plan = make_plan(read_specification(folder), ReferenceConfig(molecules=12, frame_interval=0.01))
    assert dict(plan.box.counts) == {"CLM": 9, "ARG": 3}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (", ARG: argon.pdb", "", "has no file for residue ARG"),
        ("ARG: argon.pdb", "ARG: argon.pdb, NE: neon.pdb", "residue NE is not defined"),
        ("{CLM: chlorine.pdb, ARG: argon.pdb}", "chlorine.pdb", "is one file, but the system has residues CLM, ARG"),
        ("element: Ar}", "element: Ne}", "does not list the atoms"),
    ],
)
def test_what_is_no_mixture_is_refused(folder, old, new, message):
    (folder / "system.yaml").write_text(FILES["system.yaml"].replace(old, new))
    with pytest.raises(InputError, match=message):
        mixture_of(read_specification(folder))


def test_molecule_that_the_force_field_does_not_know_is_named(folder):
    (folder / "chlorine.xml").write_text(FORCE_FIELD)
    plan = make_plan(read_specification(folder), ReferenceConfig(frame_interval=0.01))
    with pytest.raises(InputError, match="does not describe the molecules"):
        plan.box.create_system(plan.settings, 5.0)

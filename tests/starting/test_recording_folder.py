"""The folder of a system that has been simulated already."""

import shlex

import numpy as np
import pytest

from openmm_cgml.errors import InputError, OutputExistsError
from openmm_cgml.frames import Frames
from openmm_cgml.mapping import mapping_from_specification
from openmm_cgml.refinement.config import read_refinement_config
from openmm_cgml.specification import read_specification
from openmm_cgml.starting import StartFromRecordingConfig, start_from_recording
from openmm_cgml.training.config import read_fit_config
from tests.atoms import benzene_atoms, benzene_frames, write_recording
from tests.mapping.test_labels import chain_atoms, solution
from tests.mapping.test_votca import THREE
from tests.starting.test_folder import commands_of


@pytest.fixture
def benzene(tmp_path):
    return write_recording(tmp_path / "run" / "recording", 20, benzene_frames(20, 4)).parent


def start(path, recording, overwrite=False, **settings):
    return start_from_recording(path, StartFromRecordingConfig(recording=recording, **settings), overwrite=overwrite)


def recorded(path, atoms, edge=4.0, **arrays):
    generator = np.random.default_rng(0)
    positions = generator.uniform(0.0, edge, (3, atoms.n_atoms, 3)).astype(np.float32)
    frames = Frames(positions=positions, box=np.broadcast_to(edge * np.eye(3), (3, 3, 3)), **arrays)
    return write_recording(path / "recording", 1, frames, atoms=atoms.to_dict()).parent


def test_atoms_numbers_and_temperature_are_those_of_the_recording(tmp_path, benzene):
    started = start(tmp_path / "liquid", benzene, bead=("C1 C2", "C3 C4", "C5 C6"), pressure="5 bar")
    specification = read_specification(tmp_path / "liquid")
    (residue,) = specification.residues
    assert (specification.name, residue.name, residue.count) == ("liquid", "BNZ", 20)
    assert (specification.temperature, specification.pressure) == (300.0, 5.0)
    assert [bead.type for bead in residue.beads] == ["C2H2"] * 3 and len(residue.bonds) == 3
    assert mapping_from_specification(specification, benzene_atoms(20)).n_beads == 60
    fit, refine = (
        read_fit_config(tmp_path / "liquid" / "fit.yaml"),
        read_refinement_config(tmp_path / "liquid/refine.yaml"),
    )
    assert (fit.priors.pairs.pressure, refine.pressure, refine.target) == (5.0, 5.0, "priors")
    assert fit.priors.angles is not None and fit.priors.torsions is None
    assert 2 * fit.priors.pairs.cutoff < 0.97 * benzene_frames(20, 1).box[0, 0, 0] + 1e-6
    assert "which does not say what it had" in started.notes[-1]
    assert (tmp_path / "liquid" / "mapping.png").read_bytes().startswith(b"\x89PNG")


def test_commands_lead_from_the_recording_to_a_report(tmp_path, benzene):
    start(tmp_path / "liquid", benzene)
    lines = commands_of(tmp_path / "liquid")
    assert [shlex.split(line)[1] for line in lines] == [
        "install", "init", "map", "fit", "refine", "simulate", "validate",
    ]  # fmt: skip
    assert lines[1] == f"openmm-cgml init {tmp_path}/liquid --from {benzene}"
    assert "--molecules BNZ=20" in lines[5]


def test_chains_keep_their_ends_and_their_lengths(tmp_path):
    recording = recorded(tmp_path / "run", chain_atoms(3, 5))
    start(tmp_path / "melt", recording, bead=("C1", "C2"))
    specification = read_specification(tmp_path / "melt")
    (chain,) = specification.chains
    assert (chain.count, chain.monomers) == (3, 5)
    assert {bead.type for residue in specification.residues for bead in residue.beads} == {"CH3", "CH2"}
    fit = read_fit_config(tmp_path / "melt" / "fit.yaml")
    assert fit.priors.torsions is not None and fit.priors.exclude_bonds == 3
    assert f"--chains {chain.name}=3x5" in commands_of(tmp_path / "melt")[5]


def test_a_mapping_that_was_suggested_is_taken(tmp_path, benzene):
    start(tmp_path / "liquid", benzene, mapping=("benzene-3bead",))
    specification = read_specification(tmp_path / "liquid")
    assert specification.reference is None and len(specification.residues[0].beads) == 3
    with pytest.raises(InputError):
        start(tmp_path / "other", benzene, mapping=("polyethylene-2bead",))
    assert not (tmp_path / "other").exists()


def test_what_is_missing_is_said(tmp_path):
    atoms = benzene_atoms(2)
    forces = np.zeros((3, atoms.n_atoms, 3), np.float32)
    started = start(tmp_path / "a", recorded(tmp_path / "no-forces", atoms))
    assert "the recording has no forces" in started.notes[0]
    started = start(tmp_path / "b", recorded(tmp_path / "total", atoms, forces=forces))
    assert "total forces alone" in started.notes[0]
    started = start(tmp_path / "c", recorded(tmp_path / "water", solution()), bead=("BNZ: C1 C2 C3 C4 C5 C6",))
    assert "residues HOH have no beads" in started.notes[-1]


def test_a_recording_without_a_box_is_refused(tmp_path):
    atoms = benzene_atoms(1)
    frames = Frames(positions=np.zeros((3, atoms.n_atoms, 3), np.float32))
    recording = write_recording(tmp_path / "run" / "recording", 1, frames).parent
    with pytest.raises(InputError, match="has no periodic box"):
        start(tmp_path / "gas", recording)
    assert not (tmp_path / "gas").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"beads": 2, "bead": ("C1",)},
        {"mapping": ("benzene-3bead",), "beads": 2},
        {"smarts": ("cc",), "bead": ("C1",)},
        {"beads": 0},
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path, settings):
    with pytest.raises(ValueError, match=r"each alone says|greater than or equal"):
        StartFromRecordingConfig(recording=tmp_path, **settings)


def test_only_what_init_wrote_is_replaced(tmp_path, benzene):
    start(tmp_path / "liquid", benzene)
    with pytest.raises(OutputExistsError):
        start(tmp_path / "liquid", benzene)
    start(tmp_path / "liquid", benzene, overwrite=True, beads=3)
    assert len(read_specification(tmp_path / "liquid").residues[0].beads) == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "system.yaml").write_text("name: mine\n")
    with pytest.raises(OutputExistsError):
        start(tmp_path / "mine", benzene, overwrite=True)


def test_votcas_files_are_taken_with_their_types(tmp_path, benzene):
    text = THREE.replace("<type>C2H2</type>", "<type>RING</type>")
    (tmp_path / "benzene.xml").write_text(text)
    start(tmp_path / "liquid", benzene, mapping=(tmp_path / "benzene.xml",))
    (residue,) = read_specification(tmp_path / "liquid").residues
    assert [(bead.type, set(bead.atoms)) for bead in residue.beads] == [
        ("RING", {"C1", "C2", "H1", "H2"}), ("RING", {"C3", "C4", "H3", "H4"}), ("RING", {"C5", "C6", "H5", "H6"}),
    ]  # fmt: skip
    (tmp_path / "benzene.xml").write_text(text.replace("12.011 12.011 1.008 1.008", "1 1 1 1"))
    with pytest.raises(InputError, match="not at the center of mass"):
        start(tmp_path / "other", benzene, mapping=(tmp_path / "benzene.xml",))
    with pytest.raises(InputError, match=r"give one system\.yaml, or VOTCA's XML files"):
        start(tmp_path / "other", benzene, mapping=(tmp_path / "benzene.xml", "benzene-3bead"))


def test_matches_of_smarts_are_beads(tmp_path, benzene):
    pytest.importorskip("rdkit")
    start(tmp_path / "liquid", benzene, smarts=("cc",))
    (residue,) = read_specification(tmp_path / "liquid").residues
    assert [bead.type for bead in residue.beads] == ["C2H2"] * 3

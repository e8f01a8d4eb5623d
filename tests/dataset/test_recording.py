import numpy as np
import pytest

from openmm_cgml.dataset import ForceMatchingDataset, map_recording, open_recording, read_force_map_reports, summarize
from openmm_cgml.errors import ArtifactError, InputError, OutputExistsError
from openmm_cgml.mapping import Mapping, mapping_from_specification
from openmm_cgml.storage import read_json
from tests.atoms import CONSTRAINTS, benzene_atoms, benzene_frames, benzene_specification, write_recording
from tests.mapping.test_labels import solution


@pytest.fixture
def recording(tmp_path):
    return write_recording(tmp_path / "run" / "recording", 3, benzene_frames(3, 11))


@pytest.mark.parametrize("n_beads", [1, 3])
def test_a_recording_becomes_the_dataset_of_its_mapped_frames(tmp_path, recording, n_beads):
    specification, seen = benzene_specification(n_beads), []
    dataset = map_recording(
        recording.parent,
        specification,
        tmp_path / "d",
        force_map="uniform",
        chunk_frames=4,
        progress=lambda *at: seen.append(at),
    )
    mapping = mapping_from_specification(specification, benzene_atoms(3))
    expected = mapping(benzene_frames(3, 11))
    assert np.array_equal(dataset.frames().forces, expected.forces.astype(np.float32))
    assert np.array_equal(dataset.frames().positions, expected.positions.astype(np.float32))
    assert dataset.mapping_fingerprint == mapping.fingerprint
    assert Mapping.from_dict(read_json(tmp_path / "d" / "mapping.json")).fingerprint == mapping.fingerprint
    assert dataset.temperature == 300.0
    assert seen == [(4, 11), (8, 11), (11, 11)]
    assert read_force_map_reports(tmp_path / "d") == ()


def test_resuming_takes_in_what_a_growing_recording_gained(tmp_path):
    frames = benzene_frames(3, 11)
    recording = write_recording(tmp_path / "recording", 3, frames[:6])
    specification = benzene_specification(3)
    assert map_recording(recording, specification, tmp_path / "d").n_frames == 6
    write_recording(recording, 3, frames[6:])
    with pytest.raises(OutputExistsError, match="--resume"):
        map_recording(recording, specification, tmp_path / "d")
    dataset = map_recording(recording, specification, tmp_path / "d", resume=True)
    assert np.array_equal(dataset.frames().times, frames.times)


def test_optimal_forces_are_kept_when_a_recording_grows(tmp_path):
    frames = benzene_frames(3, 11)
    recording = write_recording(tmp_path / "recording", 3, frames[:6])
    specification = benzene_specification(3)
    first = map_recording(recording, specification, tmp_path / "d", force_map="optimal")
    (report,) = read_force_map_reports(tmp_path / "d")
    assert report.variance_removed > 0
    assert "optimal force map of BNZ" in report.to_text()
    write_recording(recording, 3, frames[6:])
    second = map_recording(recording, specification, tmp_path / "d", force_map="optimal", resume=True)
    assert second.mapping_fingerprint == first.mapping_fingerprint
    assert second.n_frames == 11
    kept = Mapping.from_dict(read_json(tmp_path / "d" / "mapping.json"))
    assert np.array_equal(second.frames().forces, kept(frames).forces.astype(np.float32))


def test_another_mapping_cannot_be_added_to_a_dataset(tmp_path, recording):
    map_recording(recording, benzene_specification(3), tmp_path / "d")
    with pytest.raises(InputError, match="made with another mapping_fingerprint"):
        map_recording(recording, benzene_specification(1), tmp_path / "d", resume=True)
    with pytest.raises(InputError, match="made with another mapping_fingerprint"):
        map_recording(recording, benzene_specification(3), tmp_path / "d", force_map="uniform", resume=True)


def test_forces_are_optimal_unless_uniform_ones_are_asked_for_or_there(tmp_path, recording):
    specification = benzene_specification(3)
    by_default = map_recording(recording, specification, tmp_path / "default")
    asked_for = map_recording(recording, specification, tmp_path / "optimal", force_map="optimal")
    uniform = map_recording(recording, specification, tmp_path / "uniform", force_map="uniform")
    assert by_default.mapping_fingerprint == asked_for.mapping_fingerprint != uniform.mapping_fingerprint
    resumed = map_recording(recording, specification, tmp_path / "uniform", resume=True)
    assert resumed.mapping_fingerprint == uniform.mapping_fingerprint


def test_one_bead_per_molecule_has_uniform_weights_either_way(tmp_path, recording):
    specification = benzene_specification(1)
    optimal = map_recording(recording, specification, tmp_path / "optimal", force_map="optimal")
    uniform = map_recording(recording, specification, tmp_path / "uniform", force_map="uniform")
    assert optimal.mapping_fingerprint == uniform.mapping_fingerprint


def test_too_few_frames_for_optimal_weights_are_mapped_with_uniform_ones(tmp_path, caplog):
    recording = write_recording(tmp_path / "recording", 3, benzene_frames(3, 3))
    specification = benzene_specification(3)
    dataset = map_recording(recording, specification, tmp_path / "d")
    mapping = mapping_from_specification(specification, benzene_atoms(3))
    assert dataset.mapping_fingerprint == mapping.fingerprint
    assert "27 samples of the forces on BNZ" in caplog.text
    with pytest.raises(InputError, match="27 samples"):
        map_recording(recording, specification, tmp_path / "e", force_map="optimal")


def test_beads_that_cut_constraints_are_mapped_with_optimal_weights_alone(tmp_path):
    rings = np.array([(i, (i + 1) % 6) for i in (0, 1)])  # C1-C2 within the first bead, C2-C3 between two
    atoms = benzene_atoms(3, constraints=np.concatenate([CONSTRAINTS, rings])).to_dict()
    recording = write_recording(tmp_path / "recording", 3, benzene_frames(3, 11), atoms=atoms)
    specification = benzene_specification(3)
    with pytest.raises(InputError, match=r"straddle beads.*the optimal ones.*--force-map optimal"):
        map_recording(recording, specification, tmp_path / "u", force_map="uniform")
    dataset = map_recording(recording, specification, tmp_path / "d")
    kept = Mapping.from_dict(read_json(tmp_path / "d" / "mapping.json"))
    weights = kept.force_weights.toarray()[:3, :12]
    assert np.allclose(weights[:, [0, 1, 2]], weights[:, [6, 7, 8]]) and np.allclose(weights[:, 1], weights[:, 2])
    assert np.allclose(dataset.frames().forces, kept(benzene_frames(3, 11)).forces, rtol=1e-5, atol=1e-3)
    (report,) = read_force_map_reports(tmp_path / "d")
    assert not report.uniform_valid and "only the optimal are right" in report.to_text()


def test_a_shorter_recording_cannot_be_resumed_from(tmp_path, recording):
    map_recording(recording, benzene_specification(1), tmp_path / "d")
    short = write_recording(tmp_path / "short", 3, benzene_frames(3, 5))
    with pytest.raises(InputError, match="holds 11 frames, the recording 5"):
        map_recording(short, benzene_specification(1), tmp_path / "d", resume=True)
    assert ForceMatchingDataset.open(tmp_path / "d").n_frames == 11


def test_an_unknown_force_map_is_refused_before_anything_is_written(tmp_path, recording):
    with pytest.raises(InputError, match="force map 'best'; known are uniform, optimal"):
        map_recording(recording, benzene_specification(1), tmp_path / "d", force_map="best")
    assert not (tmp_path / "d").exists()


def test_a_recording_without_forces_is_refused(tmp_path):
    frames = benzene_frames(3, 2).replace(forces=None, forces_inter=None)
    recording = write_recording(tmp_path / "recording", 3, frames)
    with pytest.raises(InputError, match="no forces"):
        map_recording(recording, benzene_specification(1), tmp_path / "d")


def test_a_split_molecule_is_named_with_its_frame(tmp_path):
    positions = benzene_frames(3, 11).positions.copy()
    positions[9, 15, :2] += 1.25
    recording = write_recording(tmp_path / "recording", 3, benzene_frames(3, 11).replace(positions=positions))
    with pytest.raises(InputError, match="frames 8 to 10, counted from 8: frame 1: the bond between atoms"):
        map_recording(recording, benzene_specification(1), tmp_path / "d", chunk_frames=4)


def test_other_folders_are_no_recordings(tmp_path, recording):
    map_recording(recording, benzene_specification(1), tmp_path / "d")
    with pytest.raises(ArtifactError, match="not an atomistic recording"):
        open_recording(tmp_path / "d")
    with pytest.raises(ArtifactError, match=r"no manifest\.json"):
        open_recording(tmp_path)


def test_solvent_without_beads_stays_in_the_forces_and_is_said(tmp_path):
    atoms, solute = solution(n_molecules=3, n_waters=2), benzene_frames(3, 8)
    rng = np.random.default_rng(0)
    more = {
        "positions": rng.random((8, 6, 3)) * 0.1,
        "forces": rng.normal(size=(8, 6, 3)),
        "forces_inter": np.ones((8, 6, 3)),
    }
    frames = solute.replace(
        **{name: np.concatenate([getattr(solute, name), own], axis=1) for name, own in more.items()}
    )
    frames = frames.replace(energies={"inter": frames.energies["inter"]})
    recording = write_recording(tmp_path / "recording", 3, frames, atoms=atoms.to_dict())
    specification = benzene_specification(1)
    with pytest.raises(InputError, match=r"has residues HOH.*unmapped: \[HOH\]"):
        map_recording(recording, specification, tmp_path / "d")
    specification = specification.model_copy(update={"unmapped": ("HOH",)})
    dataset = map_recording(recording, specification, tmp_path / "d")
    alone = mapping_from_specification(benzene_specification(1), benzene_atoms(3))(solute)
    assert dataset.n_beads == 3
    assert np.allclose(dataset.frames().forces_inter, alone.forces_inter, rtol=1e-5, atol=1e-3)
    assert dict(dataset.frames().energies) == {} and dataset.source["unmapped"] == {"HOH": 2}
    summary = summarize(dataset)
    assert summary.inter_energy is None
    assert "without beads: 2 HOH" in summary.to_text()

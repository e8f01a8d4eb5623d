import numpy as np
import pytest

from openmm_cgml.dataset import ForceMatchingDataset, map_recording, open_recording, read_force_map_reports
from openmm_cgml.errors import ArtifactError, InputError, OutputExistsError
from openmm_cgml.mapping import Mapping, mapping_from_specification
from openmm_cgml.storage import read_json
from tests.atoms import benzene_atoms, benzene_frames, benzene_specification, write_recording


@pytest.fixture
def recording(tmp_path):
    return write_recording(tmp_path / "run" / "recording", 3, benzene_frames(3, 11))


@pytest.mark.parametrize("n_beads", [1, 3])
def test_a_recording_becomes_the_dataset_of_its_mapped_frames(tmp_path, recording, n_beads):
    specification, seen = benzene_specification(n_beads), []
    dataset = map_recording(
        recording.parent, specification, tmp_path / "d", chunk_frames=4, progress=lambda *at: seen.append(at)
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
    assert max(report.optimal_rms) < max(report.uniform_rms)
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
        map_recording(recording, benzene_specification(3), tmp_path / "d", force_map="optimal", resume=True)


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

import json
from dataclasses import replace

import numpy as np
import pytest

from openmm_cgml.dataset import ForceMatchingDataset, map_recording
from openmm_cgml.dataset.importing import import_trajectory
from openmm_cgml.errors import InputError, OutputExistsError
from openmm_cgml.shards import FrameStore
from openmm_cgml.specification import SystemSpecification
from openmm_cgml.trajectories.reading import TrajectorySource
from openmm_cgml.trajectories.topology_files import read_atom_topology
from openmm_cgml.trajectories.unit_systems import UNIT_SYSTEMS
from tests.trajectories.liquid import BONDS, N_FRAMES, N_MOLECULES, run_liquid, write_data, write_dump

REAL = UNIT_SYSTEMS["real"]


@pytest.fixture
def topology(tmp_path):
    return read_atom_topology(write_data(tmp_path / "a.data"))


def source_of(path, **settings):
    return TrajectorySource(paths=(path,), units=REAL, **settings)


def test_an_imported_run_is_a_recording_with_everything_in_it(tmp_path, topology):
    run = run_liquid(constrained=True)
    path = write_dump(tmp_path / "a.dump", run, seed=1, wrap=True)
    seen = []
    result = import_trajectory(
        source_of(path, time_step=1e-3), topology, tmp_path / "rec", temperature=300.0, progress=seen.append
    )
    store = FrameStore.open(tmp_path / "rec")
    frames = store.read()
    assert seen[-1] == result.n_frames == store.n_frames == N_FRAMES
    np.testing.assert_allclose(frames.forces, run.forces, rtol=1e-5, atol=1e-3)
    assert frames.positions.dtype == np.float32
    assert store.metadata["temperature"] == 300.0
    assert store.metadata["density"] == pytest.approx(0.5554, rel=1e-3)
    assert store.metadata["atoms"]["constraints"] == BONDS.tolist()
    assert store.metadata["source"]["imported"]["units"] == "real"
    findings = json.loads((tmp_path / "rec" / "import.json").read_text())["findings"]
    assert {finding["what"] for finding in findings} >= {"density", "frames read", "box", "forces between molecules"}


SPECIFICATION = SystemSpecification(
    name="diatomics",
    temperature=300.0,
    residues=[
        {
            "name": "M1",
            "count": N_MOLECULES,
            "atoms": [{"name": "C1", "element": "C"}, {"name": "O1", "element": "O"}],
            "beads": [{"name": "B", "type": "CO", "atoms": ["C1", "O1"]}],
        }
    ],
)


def test_an_imported_run_is_mapped_like_any_recording(tmp_path, topology):
    run = run_liquid()
    import_trajectory(source_of(write_dump(tmp_path / "a.dump", run)), topology, tmp_path / "rec", temperature=300.0)
    map_recording(tmp_path / "rec", SPECIFICATION, tmp_path / "data")
    forces = ForceMatchingDataset.open(tmp_path / "data").frames().forces
    np.testing.assert_allclose(forces, run.forces.reshape(N_FRAMES, -1, 2, 3).sum(axis=2), rtol=1e-4, atol=2e-3)


def test_what_no_run_can_be_is_refused_before_anything_is_written(tmp_path, topology):
    path = write_dump(tmp_path / "a.dump", run_liquid())
    with pytest.raises(InputError, match="no such run can be"):
        import_trajectory(
            replace(source_of(path), units=UNIT_SYSTEMS["metal"]), topology, tmp_path / "rec", temperature=300.0
        )
    assert not (tmp_path / "rec").exists()


def test_a_run_without_forces_is_refused_with_the_ways_to_have_them(tmp_path, topology):
    path = write_dump(tmp_path / "a.dump", run_liquid(), columns="id x y z")
    with pytest.raises(InputError, match=r"none of 40 frames has forces.*nstfout.*--rerun"):
        import_trajectory(source_of(path), topology, tmp_path / "rec", temperature=300.0)


@pytest.mark.parametrize("temperature", [0.0, -3.0, float("nan")])
def test_a_temperature_that_is_none_is_refused(tmp_path, topology, temperature):
    with pytest.raises(InputError, match="that of the thermostat"):
        import_trajectory(source_of(tmp_path / "a.dump"), topology, tmp_path / "rec", temperature=temperature)


@pytest.mark.parametrize("chunk", [7, 50])
def test_a_stopped_import_is_finished_and_a_grown_file_goes_on(tmp_path, topology, monkeypatch, chunk):
    monkeypatch.setattr("openmm_cgml.dataset.importing._CHUNK", chunk)
    run = run_liquid()
    text = write_dump(tmp_path / "a.dump", run).read_text()
    (tmp_path / "a.dump").write_text(text[: text.index("ITEM: TIMESTEP\n2500\n")])
    import_trajectory(source_of(tmp_path / "a.dump"), topology, tmp_path / "rec", temperature=300.0)
    assert FrameStore.open(tmp_path / "rec").n_frames == 24
    (tmp_path / "a.dump").write_text(text)
    with pytest.raises(OutputExistsError, match="not empty"):
        import_trajectory(source_of(tmp_path / "a.dump"), topology, tmp_path / "rec", temperature=300.0)
    import_trajectory(source_of(tmp_path / "a.dump"), topology, tmp_path / "rec", temperature=300.0, resume=True)
    np.testing.assert_allclose(FrameStore.open(tmp_path / "rec").read().positions, run.positions, atol=1e-6)


def test_an_import_may_be_replaced_and_a_reference_may_not(tmp_path, topology):
    path = write_dump(tmp_path / "a.dump", run_liquid())
    for _ in range(2):
        import_trajectory(source_of(path, every=2), topology, tmp_path / "rec", temperature=300.0, overwrite=True)
    assert FrameStore.open(tmp_path / "rec").n_frames == 20
    manifest = tmp_path / "rec" / "manifest.json"
    text = json.loads(manifest.read_text())
    text["metadata"]["source"] = {"force_field": "another"}
    manifest.write_text(json.dumps({k: v for k, v in text.items() if k not in ("content_sha256", "sealed")}))
    with pytest.raises(OutputExistsError, match="was not written by 'import'"):
        import_trajectory(source_of(path), topology, tmp_path / "rec", temperature=300.0, overwrite=True)


def test_memory_holds_no_more_than_the_sample_and_a_chunk(tmp_path, topology, monkeypatch):
    path = write_dump(tmp_path / "a.dump", run_liquid())
    monkeypatch.setattr("openmm_cgml.dataset.importing._SAMPLE", 6)
    monkeypatch.setattr("openmm_cgml.dataset.importing._CHUNK", 3)
    sizes = []

    def recompute(frames):
        sizes.append(len(frames))
        return frames

    import_trajectory(
        source_of(path), topology, tmp_path / "rec", temperature=300.0, constraints="none", recompute=recompute
    )
    assert max(sizes) == 3
    assert sum(sizes) == N_FRAMES
    assert FrameStore.open(tmp_path / "rec").n_frames == N_FRAMES


def test_hydrogens_without_bonds_are_refused(tmp_path, topology):
    atoms = replace(topology.atoms, elements=("H",) * 128, bonds=np.zeros((0, 2), int), molecules=np.arange(128))
    with pytest.raises(InputError, match="hydrogens among them, and no bonds"):
        import_trajectory(
            source_of(write_dump(tmp_path / "a.dump", run_liquid())), replace(topology, atoms=atoms), tmp_path / "rec",
            temperature=300.0,
        )  # fmt: skip

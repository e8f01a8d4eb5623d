import json
import re

import numpy as np
import pytest

from openmm_cgml.errors import ArtifactError, InputError, OutputExistsError
from openmm_cgml.shards import FrameWriter
from openmm_cgml.storage import write_json
from openmm_cgml.validation import compare_runs, load_reference, read_run, summarize_boxes, summarize_dataset, validate
from openmm_cgml.validation.quantities import TEMPERATURE
from openmm_cgml.validation.quantities.mobility import MOBILITY
from openmm_cgml.validation.quantities.structure import STRUCTURE
from openmm_cgml.validation.reference_summary import ReferenceSummary, write_reference_summary
from openmm_cgml.validation.run_validation import name_apart


@pytest.fixture
def write_run(tmp_path, make_frames, make_topology):
    """Writes the folder of a simulation as `simulate` leaves it."""

    def write(name, *, status="complete", reason=None, n_frames=40, **settings):
        folder = tmp_path / name
        with FrameWriter(folder / "trajectory", metadata={"kind": "openmm-cgml/trajectory"}) as writer:
            if n_frames:
                writer.append(make_frames(n_frames=n_frames, **settings))
        write_json(folder / "topology.json", make_topology().to_dict())
        write_json(folder / "simulation.json", {"config": {"temperature": 300.0, "ensemble": "NVT"}, "segments": []})
        if status is not None:
            write_json(
                folder / "result.json", {"status": status, "reason": reason, "notes": ["<b>bold</b>"], "time": 20.0}
            )
        return folder

    return write


@pytest.mark.slow
def test_a_report_is_written_with_pictures_inside(tmp_path, write_run, reference):
    runs = [write_run("a", seed=1), write_run("b", seed=2)]
    validation = validate(runs, reference=reference, output=tmp_path / "out")
    assert validation.n_complete == 2
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(list((tmp_path / "out" / "pictures").glob("*.png"))) >= 5
    assert not re.search(r"(?:src|href)=(?!'data:)", page)  # nothing is loaded from elsewhere
    assert "&lt;b&gt;bold" in page
    assert "<b>bold" not in page
    assert "CG time" in page
    assert json.loads((tmp_path / "out" / "validation.json").read_text())["system"] == "dumbbells"


@pytest.mark.slow
def test_an_unstable_run_is_reported_and_stamped_incomplete(tmp_path, write_run, reference):
    runs = [write_run("a", seed=1), write_run("b", status="unstable", reason="510 K after 9 ps", n_frames=1)]
    validation = validate(runs, reference=reference, output=tmp_path / "out")
    assert not validation.passed
    page = (tmp_path / "out" / "report.html").read_text()
    assert '<span class="stamp incomplete">incomplete</span>' in page
    assert "510 K after 9 ps" in page
    assert "too few for any metric" in page


def test_a_run_without_frames_is_reported(tmp_path, write_run, reference):
    validation = validate(write_run("a", status="unstable", n_frames=0), reference=reference, output=tmp_path / "out")
    assert validation.runs[0].metrics == ()
    assert "stamp incomplete" in (tmp_path / "out" / "report.html").read_text()


def test_a_killed_run_is_unfinished(write_run, reference):
    validation = compare_runs([read_run(write_run("a", status=None, n_frames=25))], reference)
    assert validation.runs[0].status == "unfinished"
    assert not validation.passed


def test_a_run_with_replicas_counts_as_its_replicas(tmp_path, write_run, reference):
    for number in (1, 2):
        folder = write_run(f"many/replica-{number}", status="unstable", n_frames=0)
        write_json(folder / "simulation.json", {"config": {"replicas": 2}, "replica": number})
    write_json(tmp_path / "many" / "simulation.json", {"config": {"replicas": 2}})
    write_json(tmp_path / "many" / "topology.json", {})
    runs = [write_run("alone", status="unstable", n_frames=0), tmp_path / "many"]
    validation = validate(runs, reference=reference, output=tmp_path / "out")
    names = [run.name for run in validation.runs]
    assert [name.rsplit("/", 1)[-1] for name in names] == ["alone", "replica-1", "replica-2"]
    with pytest.raises(InputError, match="holds 2 replicas"):
        read_run(tmp_path / "many")


def test_an_old_report_is_kept_unless_told_otherwise(tmp_path, write_run, reference):
    run = write_run("a", status="interrupted", n_frames=0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("mine")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        validate(run, reference=reference, output=tmp_path / "out")
    assert (tmp_path / "out" / "report.html").read_text() == "mine"
    validate(run, reference=reference, output=tmp_path / "out", overwrite=True)
    assert "<html" in (tmp_path / "out" / "report.html").read_text()


def test_the_start_is_left_out_as_told(write_run):
    run = read_run(write_run("a"), discard=5.0)
    assert (run.discarded, run.summary.n_frames, len(run.times)) == (5.0, 30, 40)
    assert run.temperatures == pytest.approx(np.full(40, 300.0), abs=15)


def test_a_cold_start_is_left_out(write_run, make_frames):
    folder = write_run("a", n_frames=0)
    frames = make_frames(n_frames=100)
    warming = 1 - np.exp(-np.arange(100) / 6)
    with FrameWriter(folder / "trajectory", metadata={"kind": "openmm-cgml/trajectory"}, resume=True) as writer:
        writer.append(frames.replace(energies={**frames.energies, "kinetic": frames.energies["kinetic"] * warming}))
    run = read_run(folder)
    assert 5.0 < run.discarded <= 25.0
    assert run.summary.get(TEMPERATURE).mean == pytest.approx(300, abs=3)
    assert read_run(folder, discard=0.0).summary.get(TEMPERATURE).mean < 290


def test_nothing_left_is_refused(write_run):
    with pytest.raises(InputError, match="nothing remains"):
        read_run(write_run("a"), discard=100.0)


def test_a_folder_that_is_no_simulation_is_refused(tmp_path, reference):
    with pytest.raises(ArtifactError, match=r"no topology\.json"):
        validate(tmp_path, reference=reference, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="no runs"):
        validate([], reference=reference, output=tmp_path / "out")


def test_a_damaged_shard_is_refused(tmp_path, write_run, reference):
    run = write_run("a")
    shard = next((run / "trajectory").glob("*.h5"))
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(ArtifactError, match="changed since it was written"):
        validate(run, reference=reference, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_of_one_name_are_told_apart(write_run):
    paths = [write_run("x/run", n_frames=2), write_run("y/run", n_frames=2)]
    assert [run.name for run in name_apart([read_run(path) for path in paths], paths)] == ["x/run", "y/run"]


def test_a_reference_is_found_as_file_folder_or_dataset(tmp_path, reference, make_frames, make_topology):
    from openmm_cgml.dataset import ForceMatchingDataset

    write_reference_summary(tmp_path / "reference.json", reference)
    assert load_reference(tmp_path / "reference.json").system == "dumbbells"
    assert load_reference(tmp_path).to_json() == reference.to_json()
    (tmp_path / "model" / "card").mkdir(parents=True)
    write_reference_summary(tmp_path / "model" / "card" / "reference.json", reference)
    (tmp_path / "model" / "manifest.json").write_text("{}")
    assert load_reference(tmp_path / "model").to_json() == reference.to_json()
    frames = make_frames()
    dataset = ForceMatchingDataset.create(
        tmp_path / "data",
        [frames.replace(forces=np.random.default_rng(0).normal(size=frames.positions.shape))],
        topology=make_topology(),
        temperature=300.0,
        mapping_fingerprint="m",
        source={"system": "dumbbells"},
        templates=[],
    )
    made = load_reference(tmp_path / "data")
    assert (made.system, made.trajectory.n_frames, made.temperature) == ("dumbbells", 30, 300.0)
    assert made.to_json() == summarize_dataset(dataset).to_json()
    with pytest.raises(InputError, match="no-such-system"):
        load_reference("no-such-system")


def test_several_boxes_are_summarized_together(tmp_path, make_frames, make_topology):
    from openmm_cgml.dataset import ForceMatchingDataset

    def write(name, seed, temperature=300.0):
        frames = make_frames(seed=seed)
        forces = np.random.default_rng(seed).normal(size=frames.positions.shape)
        return ForceMatchingDataset.create(
            tmp_path / name,
            [frames.replace(forces=forces)],
            topology=make_topology(),
            temperature=temperature,
            mapping_fingerprint="m",
            source={"system": "dumbbells"},
            templates=[],
        )

    boxes = [write("a", 1), write("b", 2)]
    alone, both = summarize_boxes(boxes[:1]), summarize_boxes(boxes)
    assert alone.to_json() == summarize_dataset(boxes[0]).to_json()
    other = summarize_dataset(boxes[1])
    assert both.trajectory.n_frames == 60 and both.trajectory.duration == pytest.approx(2 * alone.trajectory.duration)
    counts = [each.trajectory.get(STRUCTURE).com.counts for each in (both, alone, other)]
    assert not np.array_equal(counts[1], counts[2]), "the control: the boxes differ"
    np.testing.assert_allclose(counts[0], counts[1] + counts[2])
    displacements = [each.trajectory.get(MOBILITY).to_dict() for each in (both, alone)]
    assert displacements[0] == displacements[1], "what needs a course of time is that of the first box"
    assert ReferenceSummary.from_dict(json.loads(both.to_json())).to_json() == both.to_json()
    with pytest.raises(InputError, match="differ in beads or temperature"):
        summarize_boxes([boxes[0], write("hot", 3, 310.0)])

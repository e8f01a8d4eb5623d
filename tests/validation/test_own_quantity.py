"""A quantity that the package does not know, from its computation to the page: nothing but this file defines it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from scipy.spatial import cKDTree

from openmm_cgml.analysis.block_average import compute_average
from openmm_cgml.analysis.result import Result
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.shards import FrameWriter
from openmm_cgml.storage import write_json
from openmm_cgml.validation import (
    QUANTITIES,
    Metric,
    Plate,
    Quantity,
    ValidationLimits,
    compare_with_reference,
    load_reference,
    read_reference_summary,
    summarize_reference,
    summarize_trajectory,
    validate,
    write_reference_summary,
)
from openmm_cgml.validation.report.pictures import render_picture
from tests.validation.older_files import as_version_2


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class NearestDistance(Result):
    """Mean squared distance from a center of mass to the nearest other [nm^2], with its error."""

    mean: float
    standard_error: float

    def check_ranges(self):
        self.require(self.mean > 0, "mean", "positive")


class NearestNeighbors(Quantity[NearestDistance]):
    key, result = "nearest_neighbors", NearestDistance
    limits = ValidationLimits(nearest_error=0.1)

    def compute(self, trajectory):
        if trajectory.topology.n_molecules < 2:
            return None
        squared = []
        for points, box in zip(trajectory.centers, trajectory.box, strict=True):
            edges = np.diagonal(box)
            wrapped = points % edges
            squared.append(np.mean(cKDTree(wrapped, boxsize=edges).query(wrapped, k=2)[0][:, 1] ** 2))
        found = compute_average(np.array(squared))
        return NearestDistance(mean=found.mean, standard_error=found.standard_error)

    def compare(self, ours, theirs, comparison):
        if theirs is None:
            return []
        limit = theirs.mean * comparison.limits["nearest_error"]
        return [
            Metric(
                key="nearest_squared", label="squared distance to the nearest molecule", unit="nm²", value=ours.mean,
                error=ours.standard_error, reference=theirs.mean, lowest=theirs.mean - limit,
                highest=theirs.mean + limit,
            )
        ]  # fmt: skip

    def collect_notes(self, ours, theirs, comparison):
        return [] if theirs is not None else ["the reference was summarized before nearest neighbors"]

    def draw(self, runs, reference):
        def bars(picture):
            picture.subplots().bar([name for name, _ in runs], [found.mean for _, found in runs])

        return [Plate(name="nearest", png=render_picture(bars, (3.0, 2.0)), caption="Nearest molecules")]


MINE = (*QUANTITIES, NearestNeighbors())


@pytest.fixture
def mine(make_frames, make_topology):
    return summarize_reference(
        make_frames(n_frames=60, step=1.0), make_topology(), system="dumbbells", temperature=300.0, quantities=MINE,
        limits={"gr_com_rmse": 0.5, "gr_inter_rmse": 0.5, "gr_below_first_bin": 0.2},
    )  # fmt: skip


def write_run(folder, make_frames, make_topology, **settings):
    with FrameWriter(folder / "trajectory", metadata={"kind": "openmm-cgml/trajectory"}) as writer:
        writer.append(make_frames(n_frames=60, **settings))
    write_json(folder / "topology.json", make_topology().to_dict())
    write_json(folder / "simulation.json", {"config": {"temperature": 300.0}, "segments": []})
    write_json(folder / "result.json", {"status": "complete", "notes": []})
    return folder


@pytest.mark.slow
def test_a_quantity_of_ones_own_goes_from_the_reference_to_the_page(tmp_path, mine, make_frames, make_topology):
    write_reference_summary(tmp_path / "reference.json", mine)
    run = write_run(tmp_path / "run", make_frames, make_topology, seed=1, step=1.0)
    found = validate(run, reference=tmp_path / "reference.json", output=tmp_path / "out", quantities=MINE, discard=0.0)
    metric = found.runs[0].metric("nearest_squared")
    # ideal gas: P(r) = exp(-4/3 pi rho r^3), so <r^2> = Gamma(5/3) (3 / (4 pi rho))^(2/3)
    ideal = 0.9027452929509336 * (3 * 2.6**3 / (4 * np.pi * 39)) ** (2 / 3)
    assert metric.value == pytest.approx(ideal, rel=0.08)
    assert metric.reference == pytest.approx(ideal, rel=0.08)
    assert metric.verdict == "pass"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "squared distance to the nearest molecule [nm²]" in page
    assert "Nearest molecules" in page
    assert (tmp_path / "out" / "pictures" / "nearest.png").is_file()
    keys = [
        each["key"] for each in json.loads((tmp_path / "out" / "validation.json").read_text())["runs"][0]["figures"]
    ]
    assert keys[-1] == "nearest_squared"
    assert {"temperature_mean", "gr_com_rmse", "diffusion"} <= set(keys)
    tight = validate(
        run, reference=tmp_path / "reference.json", output=tmp_path / "tight", quantities=MINE, discard=0.0,
        limits={"nearest_error": 1e-9},
    )  # fmt: skip
    assert tight.runs[0].metric("nearest_squared").verdict == "fail"


def test_a_file_without_the_part_is_read_and_it_is_not_compared(mine, make_frames, make_topology):
    older = read_back(as_version_2(mine))
    run = summarize_trajectory(make_frames(n_frames=60, seed=1), make_topology(), quantities=MINE)
    result = compare_with_reference(run, older, quantities=MINE)
    assert "nearest_squared" not in [metric.key for metric in result.metrics]
    assert "the reference was summarized before nearest neighbors" in result.notes
    assert "nearest_squared" in [metric.key for metric in compare_with_reference(run, mine, quantities=MINE).metrics]


def read_back(content):
    from openmm_cgml.validation import ReferenceSummary

    return ReferenceSummary.from_dict(json.loads(json.dumps(content)), MINE)


def test_a_part_that_is_not_known_is_named_and_kept(tmp_path, mine, make_frames, make_topology):
    write_reference_summary(tmp_path / "reference.json", mine)
    known = load_reference(tmp_path)
    run = summarize_trajectory(make_frames(n_frames=60, seed=1), make_topology())
    assert any("also has nearest_neighbors" in note for note in compare_with_reference(run, known).notes)
    write_reference_summary(tmp_path / "again.json", known)
    again = read_reference_summary(tmp_path / "again.json", quantities=MINE)
    assert again.to_json() == mine.to_json()


def test_its_own_ranges_and_limits_are_checked(mine, make_frames, make_topology):
    content = mine.to_dict()["trajectory"]
    content["parts"]["nearest_neighbors"]["mean"] = -1.0
    with pytest.raises(ArtifactError, match=r"NearestDistance\.mean must be positive"):
        type(mine.trajectory).from_dict(content, MINE)
    run = summarize_trajectory(make_frames(n_frames=60, seed=1), make_topology())
    with pytest.raises(InputError, match="no limit 'nearest_error'"):
        compare_with_reference(run, mine, limits={"nearest_error": 0.1})


def test_two_quantities_of_one_name_are_refused(make_frames, make_topology):
    with pytest.raises(InputError, match="two quantities named 'nearest_neighbors'"):
        summarize_trajectory(make_frames(), make_topology(), quantities=(*MINE, NearestNeighbors()))

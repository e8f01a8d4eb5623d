import json

import pytest

from openmm_cgml.analysis.reference_summary import (
    ValidationLimits,
    read_reference_summary,
    summarize_reference,
    write_reference_summary,
)
from openmm_cgml.errors import ArtifactError


def test_a_summary_is_written_and_read(tmp_path, make_frames, make_topology):
    limits = ValidationLimits(gr_com_rmse=0.045)
    summary = summarize_reference(
        make_frames(),
        make_topology(),
        system="dumbbells",
        temperature=300.0,
        limits=limits,
        source={"force_field": "x"},
    )
    write_reference_summary(tmp_path / "reference.json", summary)
    again = read_reference_summary(tmp_path / "reference.json")
    assert again.to_json() == summary.to_json()
    assert (again.limits.gr_com_rmse, again.source["force_field"]) == (0.045, "x")
    assert set(again.half_rmse) == {"com", "inter A-A", "inter A-B", "inter B-B"}
    assert again.half_rmse["com"] > 0
    assert again.trajectory.msd.time_scale == "atomistic time"
    assert again.effective_samples > 1


def test_newer_other_and_damaged_files_are_refused(tmp_path, reference):
    path = tmp_path / "reference.json"
    with pytest.raises(ArtifactError, match="no such file"):
        read_reference_summary(path)
    content = reference.to_dict()
    for change, message in (
        ({"version": 3}, "version 3, and this release reads up to 2"),
        ({"schema": "else"}, "not a reference summary"),
        ({"half_rmse": 3}, "half_rmse"),
    ):
        path.write_text(json.dumps({**content, **change}))
        with pytest.raises(ArtifactError, match=message):
            read_reference_summary(path)
    path.write_text(reference.to_json()[:-30])
    with pytest.raises(ArtifactError, match="not readable as JSON"):
        read_reference_summary(path)

import json

import numpy as np
import pytest

from openmm_cgml.errors import ArtifactError
from openmm_cgml.shipped import find_system
from openmm_cgml.validation.reference_summary import (
    ValidationLimits,
    read_reference_summary,
    summarize_reference,
    write_reference_summary,
)


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


def as_version_1(summary):
    """What the release before chains wrote for molecules of two beads: g(r) in units of the pairs between molecules."""
    content = json.loads(summary.to_json())
    content["version"] = 1
    del content["half_js"], content["limits"]["gr_intra_rmse"]
    trajectory = content["trajectory"]
    for name in ("torsions", "chains", "bead_msd", "inner_msd", "intra_far"):
        del trajectory[name]
    for each in (*trajectory["bonds"].values(), *trajectory["angles"].values()):
        del each["std_error"]
    mixed = trajectory["inter"]["A-B"]
    mixed["n_pairs"] -= 40
    mixed["g"] = [value * 1600 / 1560 for value in mixed["g"]]
    mixed["block_g"] = [[value * 1600 / 1560 for value in block] for block in mixed["block_g"]]
    return content


def test_files_of_version_1_are_read(tmp_path, reference):
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(as_version_1(reference)))
    again = read_reference_summary(path)
    assert again.version == 2
    assert again.trajectory.inter["A-B"].n_pairs == 1600
    np.testing.assert_allclose(again.trajectory.inter["A-B"].g, reference.trajectory.inter["A-B"].g, rtol=1e-7)
    np.testing.assert_allclose(
        again.trajectory.inter["A-A"].block_g, reference.trajectory.inter["A-A"].block_g, rtol=1e-7
    )
    assert again.trajectory.chains == {}
    assert again.limits.to_dict() == reference.limits.to_dict()
    broken = as_version_1(reference)
    del broken["trajectory"]["intra"]
    path.write_text(json.dumps(broken))
    with pytest.raises(ArtifactError, match="lacks 'intra'"):
        read_reference_summary(path)


@pytest.mark.parametrize("system", ["benzene-1bead", "benzene-3bead"])
def test_shipped_references_are_read(system):
    assert read_reference_summary(find_system(system) / "reference.json").system == system

"""No damaged file is taken for a whole one, and none ends in anything but an error of this package."""

import dataclasses

import pytest

from openmm_cgml.storage import read_json, write_json
from tests.fuzz.campaign import SILENT, TRACEBACK, run_campaign
from tests.fuzz.targets import Target, make_targets

N_EACH = 160  # of 14 kinds


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield make_targets(tmp_path_factory.mktemp("whole"))


def test_damage_is_noticed_and_named(targets, tmp_path):
    campaign = run_campaign(targets, tmp_path, n_each=N_EACH)
    assert not campaign.wrong, "\n".join([campaign.table(), *campaign.wrong[:10]])


def test_the_campaign_sees_what_is_not_sealed(tmp_path):
    (tmp_path / "whole").mkdir()
    write_json(tmp_path / "whole" / "a.json", {"temperature": 300.0, "n": 12})
    target = Target("plain", tmp_path / "whole", ("a.json",), lambda path: read_json(path / "a.json"))
    assert run_campaign([target], tmp_path, n_each=100).counts["plain"][SILENT] > 10
    careless = dataclasses.replace(target, name="careless", read=lambda path: read_json(path / "a.json")["n"] + 1)
    assert run_campaign([careless], tmp_path, n_each=100).counts["careless"][TRACEBACK] > 5

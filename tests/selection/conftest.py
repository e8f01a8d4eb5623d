"""A toy model that is made once for all tests."""

import pytest

from openmm_cgml.selection import STAGES, make_model
from tests.selection.toy import write_system


def pytest_collection_modifyitems(items):
    """Recordings of a toy are too short for a thermostat to hold their temperature, and too few to be plausible."""
    for item in items:
        if "selection" in item.path.parts:
            item.add_marker(pytest.mark.filterwarnings("ignore::openmm_cgml.errors.DatasetWarning"))


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The workplace of a toy model, made from nothing; tests do not write into it."""
    folder = tmp_path_factory.mktemp("selection")
    told = []
    workplace = make_model(write_system(folder / "toy"), folder / "runs", progress=told.append)
    assert told == [f"toy: {stage.name}" for stage in STAGES]
    return workplace

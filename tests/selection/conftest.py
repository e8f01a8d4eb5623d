"""A toy model that is made once for all tests."""

import pytest

from openmm_cgml.selection import STAGES, make_model
from tests.selection.toy import write_system


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The workplace of a toy model, made from nothing; tests do not write into it."""
    folder = tmp_path_factory.mktemp("selection")
    told = []
    workplace = make_model(write_system(folder / "toy"), folder / "runs", progress=told.append)
    assert told == [f"toy: {stage.name}" for stage in STAGES]
    return workplace

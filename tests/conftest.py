"""Marks that follow from where a test lies or what the machine has; settings of property tests."""

from pathlib import Path

import hypothesis
import pytest

# A busy machine is no reason to fail.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")

_TESTS = Path(__file__).parent
# What depends on the versions of OpenMM, torch or openmmtorch; these tests run once per version set.
_TOUCH_A_BACKEND = {
    "builder",
    "engine",
    "force_field",
    "integration",
    "networks",
    "potentials",
    "priors",
    "simulation",
    "test_openmmml_plugin.py",
    "test_system.py",
    "test_topology.py",
}


def pytest_collection_modifyitems(config, items):
    benchmarks_wanted = "benchmark" in config.getoption("markexpr")
    for item in items:
        if item.path.is_relative_to(_TESTS) and item.path.relative_to(_TESTS).parts[0] in _TOUCH_A_BACKEND:
            item.add_marker(pytest.mark.backend)
        if item.get_closest_marker("benchmark") and not benchmarks_wanted:
            item.add_marker(pytest.mark.skip(reason="a benchmark; ask for it with -m benchmark"))
        if item.get_closest_marker("gpu") and not _has_gpu():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def _has_gpu():
    import torch

    return torch.cuda.is_available()

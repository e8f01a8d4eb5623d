import itertools

import pytest

from benchmarks import speed_processes
from benchmarks.speed_worker import thread_environment


def rounds_with(waits: list[float]):
    """Rounds of a second, in which threads waited for a core so long."""
    waited = iter(waits)
    count = itertools.count(1)
    return lambda: {1: {"calls": next(count), "wall": 1.0, "waited": next(waited)}}


def test_a_disturbed_round_is_repeated(monkeypatch):
    monkeypatch.setattr(speed_processes.time, "sleep", lambda _: None)
    assert speed_processes.quiet_round(rounds_with([0.5, 0.2, 0.01]))[1]["calls"] == 3


def test_a_machine_that_does_not_become_quiet_is_an_error():
    with pytest.raises(RuntimeError, match="in the last one 50% of the time"):
        speed_processes.quiet_round(rounds_with([0.5]), patience=-1.0)


def test_two_threads_need_two_cores():
    with pytest.raises(ValueError, match="two cores"):
        speed_processes.measure_threads([0])


def test_every_library_is_held_to_the_threads_asked_for():
    environment = thread_environment(2)
    names = [name for name in environment if name.endswith("_THREADS")]
    assert {"OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENMM_CPU_THREADS"} <= set(names)

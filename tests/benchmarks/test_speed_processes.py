import itertools

import pytest

from benchmarks import speed_processes
from benchmarks.speed_worker import thread_environment


def rounds_with(monkeypatch: pytest.MonkeyPatch, others: list[float]):
    """Rounds of one second on one core, in which other processes take so much time each."""
    times = itertools.chain.from_iterable((0.0, 1.0 + taken) for taken in others)
    monkeypatch.setattr(speed_processes, "_busy_time", lambda: next(times))
    monkeypatch.setattr(speed_processes.time, "sleep", lambda _: None)
    count = itertools.count(1)
    return lambda: {1: {"calls": next(count), "wall": 1.0, "cpu": 1.0}}


def test_a_disturbed_round_is_repeated(monkeypatch):
    measure = rounds_with(monkeypatch, [0.5, 0.2, 0.01])
    assert speed_processes.quiet_round(measure)[1]["calls"] == 3


def test_a_machine_that_does_not_become_quiet_is_an_error(monkeypatch):
    measure = rounds_with(monkeypatch, [0.5])
    with pytest.raises(RuntimeError, match="took 50% of a core"):
        speed_processes.quiet_round(measure, patience=-1.0)


def test_two_threads_need_two_cores():
    with pytest.raises(ValueError, match="two cores"):
        speed_processes.measure_threads([0])


def test_every_library_is_held_to_the_threads_asked_for():
    environment = thread_environment(2)
    names = [name for name in environment if name.endswith("_THREADS")]
    assert {"OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENMM_CPU_THREADS"} <= set(names)

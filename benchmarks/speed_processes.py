"""Measurements in processes of their own: threads, and memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.speed_worker import Worker
from benchmarks.timing import ROUNDS, summarize

MEMORY_CASES = (
    ("ours", "benz-500"),
    ("exact", "benz-500"),
    ("torchmdnet", "benz-500"),
    ("schnetpack", "benz-500"),
    ("ours", "benz-4k"),
    ("exact", "benz-4k"),
    ("torchmdnet", "benz-4k"),
    ("schnetpack", "benz-4k"),
    ("ours", "benz-108k"),
)


def measure_threads(
    cores: Sequence[int], *, boxes: Sequence[str] = ("benz-4k", "benz-500"), rounds: int = ROUNDS, seconds: float = 1.0
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Elapsed time on one thread over that on two, in two processes that take turns; the row is of the first box.

    Elapsed time counts what other processes take, so rounds that they disturb are repeated.
    """
    if len(cores) < 2:
        raise ValueError(f"two threads need two cores, and this process may use {list(cores)}")
    ratios, table = {}, {}
    for box in boxes:
        workers = {threads: Worker("ours", box, threads=threads, cores=cores[:threads]) for threads in (1, 2)}
        wall: dict[int, list[float]] = {1: [], 2: []}
        cpu: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(rounds):
            for threads, turn in quiet_round(lambda w=workers: {n: one.run(seconds) for n, one in w.items()}).items():
                wall[threads].append(turn["wall"] / turn["calls"])
                cpu[threads].append(turn["cpu"] / turn["calls"])
        for worker in workers.values():
            worker.close()
        ratios[box] = summarize(np.array(wall[1]) / np.array(wall[2]))
        table[box] = {
            "ratio": ratios[box],
            "wall_ms": {str(threads): summarize(1e3 * np.array(found)) for threads, found in wall.items()},
            "cpu_ms": {str(threads): summarize(1e3 * np.array(found)) for threads, found in cpu.items()},
        }
    return {**ratios[boxes[0]], "peer": "one thread", "workload": boxes[0], "boxes": ratios}, table


def quiet_round(
    measure: Callable[[], dict[int, dict[str, float]]], *, limit: float = 0.05, patience: float = 600.0
) -> dict[int, dict[str, float]]:
    """What `measure` returns, repeated until its threads hardly had to wait for cores that other processes had.

    Args:
        measure: One round: turns by number of threads, with their elapsed time and how long threads waited for a core.
        limit: Largest part of its time that a thread may have waited, in the mean.
        patience: Time to try for [s].

    Raises:
        RuntimeError: If the machine does not become quiet.
    """
    end = time.monotonic() + patience
    while True:
        turns = measure()
        waited = max(turn["waited"] / turn["wall"] / threads for threads, turn in turns.items())
        if waited < limit:
            return turns
        if time.monotonic() > end:
            raise RuntimeError(
                f"threads waited for a core in every round of {patience:g} s, in the last one {waited:.0%} of the time,"
                f" more than {limit:.0%}; elapsed times mean something on a quiet machine only"
            )
        time.sleep(0.5)


def measure_memory(core: int, cases: Sequence[tuple[str, str]] = MEMORY_CASES) -> dict[str, Any]:
    """Peak memory of processes that evaluate one method on one thread [MB], and what libraries take of it."""
    table: dict[str, Any] = {}
    for method, box in cases:
        worker = Worker(method, box, threads=1, cores=[core])
        worker.run(0.1)
        found = worker.close()
        table.setdefault(box, {})[method] = {
            "peak_mb": found["peak_mb"],
            "above_libraries_mb": found["peak_mb"] - found["before_mb"],
        }
    return table

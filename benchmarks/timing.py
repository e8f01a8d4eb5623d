"""Timing of several methods side by side: rounds of all of them in turn, and ratios within each round."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDS = 6
SECONDS = 0.5
"""Least length of one method's turn in a round."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Timing:
    """Time per call of one method, round by round.

    Attributes:
        cpu: Process time per call [s], shape (rounds,).
        wall: Elapsed time per call [s], shape (rounds,).
        calls: Calls in all rounds.
    """

    cpu: NDArray[np.float64]
    wall: NDArray[np.float64]
    calls: int

    def to_dict(self) -> dict[str, float]:
        """Medians and extremes in milliseconds."""
        return {
            "cpu_ms": 1e3 * float(np.median(self.cpu)),
            "cpu_ms_min": 1e3 * float(self.cpu.min()),
            "cpu_ms_max": 1e3 * float(self.cpu.max()),
            "wall_ms": 1e3 * float(np.median(self.wall)),
            "calls": self.calls,
        }


def time_in_rounds(
    methods: Mapping[str, Callable[[], object]],
    *,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    warm_up: int = 5,
    calls_each: Mapping[str, int] | None = None,
    before: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, Timing]:
    """Time of one call of each method, all of them in turn in every round.

    Args:
        methods: What to time.
        rounds: Number of rounds.
        seconds: Least length of a method's turn [s]; it makes at least one call.
        warm_up: Calls of each method before the first round.
        calls_each: What one call counts for, such as the steps it takes; 1 by default.
        before: What to do before a method's turn, outside the clock.
    """
    counts, preparations = dict(calls_each or {}), dict(before or {})
    for name, call in methods.items():
        preparations.get(name, _nothing)()
        for _ in range(warm_up):
            call()
    cpu = {name: np.zeros(rounds) for name in methods}
    wall = {name: np.zeros(rounds) for name in methods}
    total = dict.fromkeys(methods, 0)
    for index in range(rounds):
        for name, call in methods.items():
            preparations.get(name, _nothing)()
            turn = _turn(call, seconds)
            done = turn[2] * counts.get(name, 1)
            cpu[name][index], wall[name][index] = turn[0] / done, turn[1] / done
            total[name] += done
    return {name: Timing(cpu=cpu[name], wall=wall[name], calls=total[name]) for name in methods}


def _turn(call: Callable[[], object], seconds: float) -> tuple[float, float, int]:
    """Process time, elapsed time and number of calls of one turn."""
    calls = 0
    begun, cpu = time.perf_counter(), time.process_time()
    while True:
        call()
        calls += 1
        elapsed = time.perf_counter() - begun
        if elapsed >= seconds:
            return time.process_time() - cpu, elapsed, calls


def _nothing() -> None:
    """Prepare nothing."""


def summarize(ratios: NDArray[np.float64]) -> dict[str, float]:
    """Median and extremes of the ratios of the rounds."""
    if len(ratios) == 0 or not np.isfinite(ratios).all():
        raise ValueError(f"ratios of rounds must be finite and at least one, not {ratios.tolist()}")
    return {"median": float(np.median(ratios)), "min": float(ratios.min()), "max": float(ratios.max())}


def ratio_to_faster(ours: Timing, peers: Mapping[str, Timing]) -> dict[str, float | str]:
    """Process time of the peer that is faster in the median over ours, as median, min and max of the rounds."""
    if not peers:
        raise ValueError("no peer was measured; a ratio needs at least one")
    name = min(peers, key=lambda key: float(np.median(peers[key].cpu)))
    return {**summarize(peers[name].cpu / ours.cpu), "peer": name}

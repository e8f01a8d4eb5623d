"""Progress of a simulation: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

_LINE_INTERVAL = 15.0
"""Seconds between lines where there is no terminal."""
_SECONDS_PER_DAY = 86400.0


class ProgressReport(Protocol):
    """Takes the number of steps done."""

    def __call__(self, step: int) -> None:
        """Show that `step` steps are done."""


def ns_per_day(steps_per_second: float, time_step: float) -> float:
    """Simulated time per day [ns] from a rate and a time step [ps]."""
    return steps_per_second * time_step * 1e-3 * _SECONDS_PER_DAY


@contextlib.contextmanager
def show_progress(n_steps: int, start: int, time_step: float, *, enabled: bool) -> Iterator[ProgressReport]:
    """Show progress on standard error for the duration of the block.

    Args:
        n_steps: Steps of the whole simulation.
        start: Steps done before.
        time_step: Integration step [ps].
        enabled: Show nothing if False.
    """
    console = Console(stderr=True)
    if not enabled:
        yield lambda step: None
    elif console.is_terminal:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            _SpeedColumn(time_step),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            speed_estimate_period=60,
        ) as progress:
            task = progress.add_task("simulating", total=n_steps, completed=start)
            yield lambda step: progress.update(task, completed=step)
    else:
        yield _Lines(console, n_steps, start, time_step)


class _SpeedColumn(ProgressColumn):
    """Speed in steps per second and ns per day."""

    def __init__(self, time_step: float) -> None:
        super().__init__()
        self._time_step = time_step

    def render(self, task: Task) -> Text:
        """The speed of a task, in steps per second and ns per day."""
        if not task.speed:
            return Text("- steps/s")
        return Text(f"{task.speed:.0f} steps/s, {ns_per_day(task.speed, self._time_step):.1f} ns/day")


class _Lines:
    def __init__(self, console: Console, n_steps: int, start: int, time_step: float) -> None:
        self._console, self._n_steps, self._start, self._time_step = console, n_steps, start, time_step
        self._began = self._last = time.monotonic()

    def __call__(self, step: int) -> None:
        now = time.monotonic()
        if step <= self._start or (now - self._last < _LINE_INTERVAL and step < self._n_steps):
            return
        self._last = now
        rate = (step - self._start) / max(now - self._began, 1e-9)
        left = (self._n_steps - step) / rate
        self._console.print(
            f"step {step} of {self._n_steps} ({100 * step / self._n_steps:.0f} %), {rate:.0f} steps/s, "
            f"{ns_per_day(rate, self._time_step):.1f} ns/day, {left:.0f} s left",
            highlight=False,
            soft_wrap=True,
        )

"""Threads that work through the same phases, each on its share."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import torch

Phase = Callable[[int], None]
"""What a thread does between two barriers, given its number."""


class Crew:
    """Runs phases on several threads; no thread begins a phase before all have ended the one before.

    The phases spend their time in compiled code that does not hold Python's lock. Waiting threads sleep: they do not
    take the processor from other work.
    """

    def __init__(self, size: int) -> None:
        """Args:
        size: Number of threads, the calling one included.
        """
        self.size = size
        self._pool: ThreadPoolExecutor | None = None

    def run(self, phases: Sequence[Phase]) -> None:
        """Run all phases; matrix products of torch stay on one thread each meanwhile.

        Raises:
            Exception: What a phase raised first.
        """
        with _one_torch_thread():
            if self.size == 1:
                for phase in phases:
                    phase(0)
            else:
                self._run_together(phases)

    def _run_together(self, phases: Sequence[Phase]) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(
                self.size - 1, thread_name_prefix="openmm-cgml", initializer=torch.set_num_threads, initargs=(1,)
            )
        barrier = threading.Barrier(self.size)
        futures: list[Future[None]] = [
            self._pool.submit(_work, phases, number, barrier) for number in range(1, self.size)
        ]
        try:
            with contextlib.suppress(threading.BrokenBarrierError):  # another thread failed; it is raised below
                _work(phases, 0, barrier)
        finally:
            wait(futures)  # whatever happened, nobody works on when this returns
        errors = [error for future in futures if (error := future.exception()) is not None]
        for error in errors:
            if not isinstance(error, threading.BrokenBarrierError):
                raise error


def _work(phases: Sequence[Phase], number: int, barrier: threading.Barrier) -> None:
    try:
        for phase in phases:
            phase(number)
            barrier.wait()
    except threading.BrokenBarrierError:
        raise
    except BaseException:
        barrier.abort()
        raise


@contextlib.contextmanager
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""Turns Ctrl-C and SIGTERM into a flag, so that a long run stops between two frames with everything saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interruption:
    """Context manager that catches SIGINT and SIGTERM and raises them again when asked.

    Example:
        >>> with Interruption() as interruption:
        ...     interruption.is_requested
        False
    """

    def __init__(self) -> None:
        self._signal: int | None = None
        self._previous: dict[int, object] = {}

    @property
    def is_requested(self) -> bool:
        """Whether a signal has arrived."""
        return self._signal is not None

    def raise_again(self) -> None:
        """Raise what the signal stands for, if one has arrived.

        Raises:
            KeyboardInterrupt: After SIGINT.
            SystemExit: With status 143 after SIGTERM.
        """
        if self._signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self._signal == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():  # handlers can be set there only
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:  # a second Ctrl-C means now
            raise KeyboardInterrupt
        self._signal = number

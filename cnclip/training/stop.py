"""A polite end: SIGTERM and Ctrl-C ask the loop to save and leave at the next step boundary."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class StopRequest:
    """Remembers the first SIGTERM or SIGINT; a second SIGINT interrupts at once.

    Use as a context manager around the loop: the former handlers come back at its end.
    """

    def __init__(self) -> None:
        self.asked = False
        self._former: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._former[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True

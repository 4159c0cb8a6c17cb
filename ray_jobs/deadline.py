"""Ends a process that has been at one thing for too long, whatever it is doing."""

from __future__ import annotations

import faulthandler
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2
# It has to be more than nothing.
SHORTEST = 0.01


class Deadline:
    """The seconds that each thing may take that a process does, in several threads at once.

    Beyond them the process writes where its threads are, and ends. It is ended from C: while one thread is within a
    regular expression, no other one runs Python.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends: list[float] = []
        self._changing = threading.Lock()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Something that is to end in time."""
        with self._changing:
            end = time.monotonic() + self.seconds
            self._ends.append(end)
            self._wait_for_next()
        try:
            yield
        finally:
            with self._changing:
                self._ends.remove(end)
                self._wait_for_next()

    def _wait_for_next(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        if self._ends:
            left = max(SHORTEST, self._ends[0] - time.monotonic())
            faulthandler.dump_traceback_later(left, exit=True, file=STDERR)

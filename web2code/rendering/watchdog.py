"""Ends a browser whose page costs too much."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from types import TracebackType

import psutil

from web2code.rendering.limits import Limits

# Nearly every page is done before the first look at the memory, which costs milliseconds.
PERIOD_SECONDS = 0.25


class Watchdog:
    """Kills a browser's processes when what is done meanwhile takes too long or too much memory, and says why.

    `reason` is empty where the browser was left alive; `strained` says whether more than half of a limit was used.
    The memory is that of `driver`, the process above the browser, and of all below it; `idle_megabytes` are those
    before the first page.
    """

    def __init__(self, pid: int, driver: int, idle_megabytes: float, limits: Limits) -> None:
        self.pid, self.driver, self.idle_megabytes, self.limits = pid, driver, idle_megabytes, limits
        self.reason = ""
        self.strained = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watchdog:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        # Only then is it certain that nobody kills the browser any more.
        self._thread.join()
        self.strained |= time.monotonic() - self._began > self.limits.seconds / 2

    def end(self, reason: str) -> None:
        """Kill the browser's whole process group at once; what waits for it fails."""
        self.reason = self.reason or reason
        with contextlib.suppress(ProcessLookupError):
            leads_a_group = os.getpgid(self.pid) == self.pid
            (os.killpg if leads_a_group else os.kill)(self.pid, signal.SIGKILL)

    def _watch(self) -> None:
        deadline = self._began + self.limits.seconds
        while not self._done.wait(min(PERIOD_SECONDS, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                return self.end(f"the page took more than {self.limits.seconds:g} s")
            used = resident_megabytes(self.driver) - self.idle_megabytes
            self.strained |= used > self.limits.megabytes / 2
            if used > self.limits.megabytes:
                return self.end(f"the page used more than {self.limits.megabytes} MB")


def resident_megabytes(pid: int) -> float:
    """Memory of a process and of all below it; what several of them map counts for each."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
    return total / 1e6

"""Ends a training worker that makes no progress, and leaves behind where it hung."""

from __future__ import annotations

import faulthandler
import json
import os
import re
import socket
import time
from collections import deque
from pathlib import Path
from statistics import median
from typing import IO, Any

# Patience, as multiples: of a usual step's time, and in the first step, which may compile, of the least patience.
USUAL, FIRST = 20, 6


class Watchdog:
    """One worker's clock, wound up by every step; as a context manager, it stops in the end.

    When a step takes too long, the process ends, even where Python itself hangs. Its file, `rank-N.txt`, then holds the
    tracebacks of all threads; its first line always tells who works at which step, as JSON.
    """

    def __init__(self, folder: Path | None = None, rank: int = 0, seconds: float = 0.0) -> None:
        """`seconds` is the least patience; without any the worker is not watched."""
        self.seconds, self.rank = seconds, rank
        self.file: IO[str] | None = None
        if folder and seconds:
            folder.mkdir(parents=True, exist_ok=True)
            self.file = (folder / f"rank-{rank}.txt").open("w", encoding="utf-8")
        self.took: deque[float] = deque(maxlen=64)
        self.began: float | None = None

    def __enter__(self) -> Watchdog:
        return self

    def __exit__(self, *_: object) -> None:
        self.pause()
        if self.file:
            self.file.close()

    def begin(self, step: int) -> None:
        """A step begins, and with it the time that it may take."""
        self.pause()
        if not self.file:
            return
        patience = max(self.seconds, USUAL * median(self.took)) if self.took else FIRST * self.seconds
        who = {"rank": self.rank, "host": socket.gethostname(), "pid": os.getpid(), "step": step, "seconds": patience}
        self.file.seek(0)
        self.file.truncate()
        self.file.write(json.dumps(who) + "\n")
        self.file.flush()
        self.began = time.monotonic()
        faulthandler.dump_traceback_later(patience, exit=True, file=self.file)

    def pause(self) -> None:
        """The step is over; nothing is expected before the next one, however long a checkpoint takes."""
        if self.began is not None:
            faulthandler.cancel_dump_traceback_later()
            self.took.append(time.monotonic() - self.began)
            self.began = None


def stalled(folder: Path) -> list[str]:
    """What each worker that its watchdog ended was doing: rank, step, seconds without progress, and where it hung.

    Those that were to be heard of as well, and were not, come last: a process that was stopped has no watchdog either.
    """
    workers = [
        (path, json.loads(who), traceback)
        for path in sorted(folder.glob("rank-*.txt"))
        for who, _, traceback in [path.read_text(encoding="utf-8").partition("\n")]
        if who
    ]
    hung = [_sentence(path, who, traceback) for path, who, traceback in workers if traceback]
    silent = [f"nothing was heard of {_name(who)}" for _, who, traceback in workers if not traceback]
    return hung and hung + silent


def _sentence(path: Path, who: dict[str, Any], traceback: str) -> str:
    threads = traceback.split("\n\n")
    own = next((thread for thread in threads if " in train_stage\n" in f"{thread}\n"), threads[0])
    innermost = re.search(r'File "(.+)", line (\d+) in (\S+)', own)
    where = f"{innermost[3]} ({innermost[1]}, line {innermost[2]})" if innermost else "code that is not Python"
    return (
        f"{_name(who)} made no progress for {who['seconds']:.0f} s in step {who['step']}; it hung in {where}, "
        f"all of its threads are in {path}"
    )


def _name(who: dict[str, Any]) -> str:
    return f"rank {who['rank']} (process {who['pid']} on {who['host']})"

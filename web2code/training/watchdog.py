"""Ends a training worker that makes no progress, and leaves behind where it hung."""

from __future__ import annotations

import faulthandler
import json
import os
import re
import socket
import time
from collections import defaultdict, deque
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import IO, Any

# Patience, as multiples: of a phase's usual time, and of the least patience in the first step, which may compile, and
# in all that is no step.
USUAL, LONG = 20, 6


class Phase(StrEnum):
    """What a worker does, as it is told before the number of a step, where there is one."""

    LOAD = "before its first step"
    STEP = "in step"
    HELD_OUT = "in the held-out pass after step"
    CHECKPOINT = "while it wrote the checkpoint of step"
    WEIGHTS = "while it gathered the weights after step"
    MODEL = "while it saved the model after step"


class Watchdog:
    """One worker's clock, wound up by every step and every other phase; as a context manager, it stops in the end.

    When a phase takes too long, the process ends, even where Python itself hangs. Its file, `rank-N.txt`, then holds
    the tracebacks of all threads; its first line tells who works at which step, as JSON, until the worker is done.
    """

    def __init__(self, folder: Path | None = None, rank: int = 0, seconds: float = 0.0) -> None:
        """`seconds` is the least patience; without any the worker is not watched."""
        self.seconds, self.rank = seconds, rank
        self.file: IO[str] | None = None
        if folder and seconds:
            folder.mkdir(parents=True, exist_ok=True)
            self.file = (folder / f"rank-{rank}.txt").open("w", encoding="utf-8")
        self.took: dict[Phase, deque[float]] = defaultdict(lambda: deque(maxlen=64))
        self.phase, self.began = Phase.STEP, 0.0

    def __enter__(self) -> Watchdog:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file:
            faulthandler.cancel_dump_traceback_later()
            self.file.truncate(0)
            self.file.close()

    def begin(self, step: int | None, phase: Phase = Phase.STEP) -> None:
        """A phase begins, and with it the time that it may take; what was before it is over."""
        if not self.file:
            return
        faulthandler.cancel_dump_traceback_later()
        now = time.monotonic()
        if self.began:
            self.took[self.phase].append(now - self.began)
        self.phase, self.began = phase, now
        patience = self._patience()
        who = {"rank": self.rank, "host": socket.gethostname(), "pid": os.getpid(), "step": step, "phase": phase}
        self.file.seek(0)
        self.file.truncate()
        self.file.write(json.dumps(who | {"seconds": patience}) + "\n")
        self.file.flush()
        faulthandler.dump_traceback_later(patience, exit=True, file=self.file)

    def _patience(self) -> float:
        """How many seconds the phase that has begun may take."""
        took = self.took[self.phase]
        is_usual_step = self.phase == Phase.STEP and took
        least = self.seconds if is_usual_step else LONG * self.seconds
        return max(least, USUAL * median(took)) if took else least


def stalled(folder: Path) -> list[str]:
    """What each worker that its watchdog ended was doing: rank, phase, seconds without progress, and where it hung.

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
    own = next(filter(re.compile(r" in train_(stage|worker)$", re.MULTILINE).search, threads), threads[0])
    doing = who["phase"] if who["step"] is None else f"{who['phase']} {who['step']}"
    innermost = re.search(r'File "(.+)", line (\d+) in (\S+)', own)
    where = f"{innermost[3]} ({innermost[1]}, line {innermost[2]})" if innermost else "code that is not Python"
    return (
        f"{_name(who)} made no progress for {who['seconds']:.0f} s {doing}; it hung in {where}, "
        f"all of its threads are in {path}"
    )


def _name(who: dict[str, Any]) -> str:
    return f"rank {who['rank']} (process {who['pid']} on {who['host']})"

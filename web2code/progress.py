"""Progress of a distributed job, as lines of its own log that the submitting side shows and keeps."""

from __future__ import annotations

import json
import time

MARK = "@progress "
INTERVAL_SECONDS = 0.5

_last_line: dict[str, float] = {}
_unsaid: dict[str, list[dict[str, float]]] = {}


def report(stage: str, done: int, total: int | None, text: str = "", metrics: dict[str, float] | None = None) -> None:
    """Say how far `stage` is: `done` of `total` units (None: unknown); two lines a second at most, and the last.

    `metrics` are what unit number `done` measured, by name; those of units without a line go with the next line.
    """
    if metrics:
        _unsaid.setdefault(stage, []).append({"step": done, "time": round(time.time(), 3), **metrics})
    now = time.monotonic()
    if (total is None or done < total) and now - _last_line.get(stage, 0.0) < INTERVAL_SECONDS:
        return
    _last_line[stage] = now
    line = {"stage": stage, "done": done, "total": total, "text": text, "time": time.time()}
    if steps := _unsaid.pop(stage, None):
        line["metrics"] = steps
    # In one piece: several threads report, and print writes the end of a line by itself.
    print(f"{MARK}{json.dumps(line)}\n", end="", flush=True)


def parse(line: str) -> dict | None:
    """The progress that a log line carries, or None where it is an ordinary line."""
    start = line.find(MARK)
    if start < 0:
        return None
    try:
        return json.loads(line[start + len(MARK) :])
    except json.JSONDecodeError:
        return None

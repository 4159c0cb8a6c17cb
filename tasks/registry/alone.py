"""One writer at a time, so that two flows do not make the same run or version twice."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Wait for the others on this machine; the lock ends with the process that holds it."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "registration.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield

"""Which step of the running flow found its result there already."""

from __future__ import annotations

_reused: list[str] = []


def note_reuse(what: str) -> None:
    """Say that the present step did no work, because `what` is there."""
    _reused.append(what)


def take_reuse() -> str:
    """What the step that just ended found there, or an empty string; forgets it."""
    found = ", ".join(_reused)
    _reused.clear()
    return found

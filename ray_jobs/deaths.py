"""What an actor died of, as Ray tells it."""

from __future__ import annotations

# What Ray says about an actor whose machine or process was told to go, or that was not there yet when they went.
TAKEN_AWAY = ("its node has died", "node was preempted", "received a SIGTERM", "receives a SIGTERM", "never ran")


def reason_of(error: Exception) -> str:
    """What Ray says at the end of an error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def was_taken_away(error: Exception) -> bool:
    """Whether nothing that an actor had been asked has ended it."""
    return getattr(error, "preempted", False) or any(words in str(error) for words in TAKEN_AWAY)

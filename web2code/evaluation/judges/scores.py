"""The numbers in a judge's reply, of which nothing else is trusted.

What is judged was made by a model, and may tell the judge what to say: it cannot change which numbers there are, nor
how large they may be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

MAX_CHARS = 4096


def scores_schema(names: Sequence[str], low: float, high: float) -> dict[str, Any]:
    """JSON schema of an object that holds a number from `low` to `high` for each name, and nothing else."""
    number = {"type": "number", "minimum": low, "maximum": high}
    return {
        "type": "object",
        "properties": {name: number for name in names},
        "required": list(names),
        "additionalProperties": False,
    }


def read_scores(reply: str, names: Sequence[str], low: float, high: float) -> dict[str, float]:
    """The numbers of a reply that is such an object and nothing else; a markdown fence around it is let pass.

    Raises:
        ValueError: the reply is anything else: prose around the object, another or a doubled key, a number that is text
            or out of range.
    """
    text = reply.strip()
    if len(text) > MAX_CHARS:
        raise ValueError("the reply is longer than any list of scores")
    if text.startswith("```"):
        text = text.removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        found = json.loads(text, object_pairs_hook=_without_doubles)
    except RecursionError:
        raise ValueError("the reply is nested too deeply") from None
    if not isinstance(found, dict) or found.keys() != set(names):
        raise ValueError("the reply has other keys than it was asked for")
    return {name: _number(found[name], low, high) for name in names}


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key comes twice")
    return dict(pairs)


def _number(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError("a score is no number, or out of range")
    return float(value)

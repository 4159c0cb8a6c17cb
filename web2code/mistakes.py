"""What is said to a person whose command cannot be carried out: one sentence, and status 2."""

from __future__ import annotations

import sys
from typing import NoReturn

import pydantic
import typer


def fail(mistake: Exception | str) -> NoReturn:
    """End the command with one sentence: what is wrong, where, and what to do."""
    print(f"error: {_sentence(mistake)}", file=sys.stderr)
    raise typer.Exit(2)


def _sentence(mistake: Exception | str) -> str:
    if isinstance(mistake, pydantic.ValidationError):
        first = mistake.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "value_error":
            return f"{where}: {first['ctx']['error']}".removeprefix(": ")
        return f"{where}: {first['msg']} (got {first['input']!r})"
    return str(mistake)

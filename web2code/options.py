"""Options of commands: folders that are given by name, and options that would be passed over."""

from __future__ import annotations

from collections.abc import Iterable

import typer


def parse_folders(texts: Iterable[str]) -> dict[str, str]:
    """`["wub=FOLDER", "mme"]` as `{"wub": "FOLDER", "mme": ""}`.

    Raises:
        ValueError: a name stands there twice.
    """
    folders: dict[str, str] = {}
    for name, _, folder in (text.partition("=") for text in texts):
        if name in folders:
            raise ValueError(f"{name} is named twice: name it once")
        folders[name] = folder
    return folders


def require_unused(context: typer.Context, names: Iterable[str], reason: str) -> None:
    """Raise ValueError where one of these parameters stands on the command line, where it would be passed over."""
    if given := [f"--{name.replace('_', '-')}" for name in names if _is_given(context, name)]:
        raise ValueError(f"{', '.join(given)}: {reason}")


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"

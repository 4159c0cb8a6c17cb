"""The command `web2code leaderboard`: a page of all evaluated models beside published figures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from web2code.mistakes import fail

console = Console()


def leaderboard(
    folders: Annotated[list[Path], typer.Argument(help="Folders that `web2code evaluate` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder of the page and of the models' answers.")] = Path("leaderboard"),
    votes: Annotated[Path | None, typer.Option(help="Votes that `web2code vote` recorded.")] = None,
) -> None:
    """Write a page that compares evaluated models with each other and with published figures."""
    from web2code.report.leaderboard import write_leaderboard

    try:
        if votes and not votes.is_file():
            raise ValueError(f"{votes} is no file: name the one that `web2code vote` recorded, or leave --votes out")
        page = write_leaderboard(folders, out, votes)
    except ValueError as error:
        fail(error)
    console.print(f"page    {os.path.relpath(page)}", soft_wrap=True)

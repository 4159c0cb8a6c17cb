"""The command `web2code vote`: a page on this machine where people choose between two models' renderings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from web2code.mistakes import fail

console = Console()


def vote(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders that `web2code evaluate` wrote, of two or more models.")
    ],
    benchmark: Annotated[str, typer.Option(help="The benchmark whose renderings are shown.")] = "design2code",
    out: Annotated[Path, typer.Option(help="File of JSON lines that votes are added to.")] = Path("votes.jsonl"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback; 0 takes a free one.")] = 0,
    seed: Annotated[int, typer.Option(help="Decides sides and order.")] = 0,
) -> None:
    """Ask which of two renderings is closer to the screenshot, and record the votes for the leaderboard.

    Stopped and started again, it goes on with the pairs that have no vote.
    """
    from web2code.evaluation.ballot import Ballot, make_pairs
    from web2code.report.voting import make_server

    try:
        server, address = make_server(Ballot(make_pairs(folders, benchmark, seed), out), port)
    except (ValueError, OSError) as error:
        fail(error)
    console.print(f"vote at  {address}\nCtrl-C ends it; the votes are in {out}", soft_wrap=True, highlight=False)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()

"""The command `web2code compare`: two evaluated models, figure by figure, with intervals and p-values."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from web2code.artifacts import replace_text
from web2code.mistakes import fail

if TYPE_CHECKING:
    from web2code.evaluation.comparison import Comparison

COLOURS = {"better": "green", "worse": "red"}
console = Console()


def compare(
    first: Annotated[Path, typer.Argument(help="Folder that `web2code evaluate` wrote.")],
    second: Annotated[Path, typer.Argument(help="Folder of the model that it is compared with.")],
    out: Annotated[
        Path | None, typer.Option(help="Also write the table there: Markdown, or JSON where the name ends in .json.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    samples: Annotated[int, typer.Option(min=100, help="Resamplings of the bootstrap.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same intervals and p-values.")] = 0,
) -> None:
    """Say in which figures one model is better than another, and where the samples do not tell.

    Both must have answered the same samples: differences are taken sample by sample.
    """
    from web2code.evaluation import comparison
    from web2code.evaluation.benchmarks import BENCHMARKS

    try:
        found = comparison.compare(first, second, BENCHMARKS, samples, seed)
    except ValueError as error:
        fail(error)
    if out:
        text = found.model_dump_json(indent=2) if out.suffix == ".json" else comparison.markdown(found)
        replace_text(out, text)
    if json:
        print(found.model_dump_json(indent=2))
        return
    console.print(_table(found))
    for note in found.notes:
        console.print(note, style="yellow", markup=False, highlight=False)


def _table(found: Comparison) -> Table:
    from web2code.evaluation.comparison import cells

    title = "shares in percent; difference: first less second; 95 % intervals; p after Holm"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("figure")
    for column in (found.first, found.second):
        table.add_column(escape(column), justify="right", min_width=12)
    table.add_column("difference", justify="right", no_wrap=True)
    table.add_column("p", justify="right")
    table.add_column("verdict", no_wrap=True)
    for benchmark, rows in groupby(found.rows, lambda row: row.benchmark):
        table.add_row(f"[bold]{escape(benchmark)}[/bold]")
        for row in rows:
            shown = [escape(cell.replace(" (", "\n").removesuffix(")")) for cell in cells(row)[2:]]
            table.add_row(escape(row.figure), *shown, style=COLOURS.get(row.verdict, ""))
    return table

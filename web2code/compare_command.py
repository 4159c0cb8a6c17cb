"""The command `web2code compare`: two evaluated models, figure by figure, with intervals and p-values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from web2code.artifacts import replace_text
from web2code.mistakes import fail

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
    table = Table(title="difference: the first's less the second's; 95 % intervals", title_justify="left")
    for column in ("benchmark", "figure", found.first, found.second, "difference", "p (Holm)", "verdict"):
        table.add_column(escape(column), justify="left" if column in ("benchmark", "figure", "verdict") else "right")
    for row in found.rows:
        table.add_row(*(escape(cell) for cell in comparison.cells(row)), style=COLOURS.get(row.verdict, ""))
    console.print(table)
    for note in found.notes:
        console.print(note, style="yellow", markup=False, highlight=False)

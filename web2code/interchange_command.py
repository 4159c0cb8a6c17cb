"""The commands `web2code results export` and `import`: results in the files of lmms-eval and VLMEvalKit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from web2code.mistakes import fail

app = typer.Typer(no_args_is_help=True, help="Exchange results with lmms-eval and VLMEvalKit.")
console = Console()


@app.command("export")
def export_results(
    folder: Annotated[Path, typer.Argument(help="Folder that `web2code evaluate` wrote.")],
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    format: Annotated[Literal["lmms-eval", "vlmevalkit"], typer.Option(help="Whose files to write.")] = "lmms-eval",
) -> None:
    """Write a model's results as another harness does."""
    from web2code.evaluation.interchange import write_lmms_eval, write_vlmevalkit

    try:
        paths = [write_lmms_eval(folder, out)] if format == "lmms-eval" else write_vlmevalkit(folder, out)
    except ValueError as error:
        fail(error)
    for path in paths:
        console.print(os.path.relpath(path), soft_wrap=True, highlight=False)


@app.command("import")
def import_results(
    file: Annotated[
        Path, typer.Argument(help="DATE_results.json of lmms-eval, or a table of VLMEvalKit (.xlsx, .tsv, .csv).")
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write; further tables of one model are added to it.")],
    model: Annotated[str, typer.Option(help="Name of the model, for a table.")] = "",
    benchmark: Annotated[str, typer.Option(help="Name of the benchmark, for a table.")] = "",
) -> None:
    """Read another harness's results into a folder that stands beside ours on the leaderboard."""
    from web2code.evaluation.interchange import read_lmms_eval, read_vlmevalkit

    try:
        if not file.is_file():
            raise ValueError(f"{file} is not there: name a file of results")
        if file.suffix != ".json" and not (model and benchmark):
            raise ValueError(f"{file.name} does not say what it holds: give --model and --benchmark")
        if file.suffix == ".json" and (model or benchmark):
            raise ValueError(f"{file.name} says what it holds: leave --model and --benchmark out")
        scores = read_lmms_eval(file, out) if file.suffix == ".json" else read_vlmevalkit(file, out, model, benchmark)
    except ValueError as error:
        fail(error)
    console.print(f"{scores.model}: {', '.join(scores.benchmarks)}", markup=False, soft_wrap=True, highlight=False)

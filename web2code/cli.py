"""The command line: run the lifecycle, start and stop services, list and plan recipes, carry models in and out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from web2code.compare_command import compare
from web2code.data_commands import app as data_app
from web2code.evaluate_command import evaluate
from web2code.export_command import export
from web2code.import_command import import_
from web2code.interchange_command import app as interchange_app
from web2code.leaderboard_command import leaderboard
from web2code.mistakes import fail
from web2code.options import parse_folders, require_unused
from web2code.plan import home_folder
from web2code.plan_command import plan
from web2code.recipes import RECIPES, parse_overrides
from web2code.services import Service, find_service
from web2code.stack import bring_down, bring_up
from web2code.summary import RunSummary
from web2code.vote_command import vote

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train, judge and register a vision-language model that turns screenshots of web pages into HTML.",
)
app.add_typer(data_app, name="data")
app.command()(plan)
app.command("import")(import_)
app.command()(export)
app.command()(evaluate)
app.command()(compare)
app.command()(leaderboard)
app.command()(vote)
app.add_typer(interchange_app, name="results")
console = Console()


@app.callback()
def check_home() -> None:
    """Refuse a home that is no folder, whatever the command."""
    try:
        home_folder()
    except ValueError as error:
        fail(error)


@app.command()
def run(
    context: typer.Context,
    recipe: Annotated[str, typer.Option(help="Name of a recipe; `web2code recipes` lists them.")] = "tiny",
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a value, e.g. instruct.steps=50.")
    ] = None,
    pages: Annotated[
        str | None, typer.Option(help="Folder of HTML documents to train on; beside --source, to judge on alone.")
    ] = None,
    screenshots: Annotated[str | None, typer.Option(help="Also show the model this folder of screenshots.")] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[=FOLDER]", help="Data of the recipe's mixture, as in `data build`; repeatable."),
    ] = None,
    benchmark: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=FOLDER]",
            help="Ask candidate and champion this benchmark, as `evaluate` does, and promote no candidate that falls "
            "behind on it; repeatable.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Training processes, where there is no GPU.")] = 2,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs to train on.")] = 0,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="How it runs, e.g. max_preemptions=50; no result depends on it."),
    ] = None,
) -> None:
    """Run the whole lifecycle: data, gate, training, evaluation, registration, report.

    What is done already is not done again: after a kill, the same command goes on.
    """
    try:
        if gpus:
            require_unused(context, ["workers"], "one process trains on each of --gpus: leave it out")
        overrides, chosen = parse_overrides(set or []), parse_overrides(where or [])
        sources, benchmarks = parse_folders(source or []), parse_folders(benchmark or [])
    except ValueError as error:
        fail(error)
    parameters = {
        "recipe": recipe, "overrides": overrides, "pages": pages or None, "screenshots": screenshots or None,
        "sources": sources, "workers": workers, "gpus": gpus, "where": chosen or None,
        "benchmarks": benchmarks or None,
    }  # fmt: skip
    status = _call([sys.executable, "-P", "-m", "flows", json.dumps(parameters)])
    if status == 0:
        show_latest(home_folder())
    raise typer.Exit(status)


@app.command()
def up() -> None:
    """Start Prefect with a worker, Ray with its dashboard, and MLflow, all on loopback, and deploy prefect.yaml."""
    try:
        services = bring_up(home_folder())
    except (ValueError, RuntimeError) as error:
        fail(error)
    show_services(services, home_folder())
    console.print("\nStart a run with: prefect deployment run train-web2code --watch")


@app.command()
def down() -> None:
    """Stop exactly what `web2code up` started."""
    stopped = bring_down(home_folder())
    console.print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


@app.command()
def recipes() -> None:
    """List the recipes."""
    table = Table("recipe", "what it trains", Column("pack", justify="right"), box=SIMPLE_HEAD, pad_edge=False)
    for name, make in RECIPES.items():
        pack = make().instruct.pack_tokens
        table.add_row(name, (make.__doc__ or "").strip().splitlines()[0], f"{pack:,}" if pack else "")
    console.print(table)
    console.print(
        "pack: tokens in a sequence of stage 2. Packs hold the samples of the same steps as the published padded rows, "
        "which --set instruct.pack_tokens=0 trains; `web2code plan RECIPE` tells what either takes.",
        highlight=False,
    )


def _call(command: list[str]) -> int:
    """Run a command to its end; told to stop, tell it, and wait until it has stopped what it started."""
    process = subprocess.Popen(command, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, lambda received, frame: process.send_signal(received))
    status = process.wait()
    return status if status >= 0 else 128 - status


def show_latest(home: Path) -> None:
    """A short table of the newest run, its report, and how to open the UIs."""
    summary = RunSummary.model_validate_json((home / "runs" / "latest" / "summary.json").read_text())
    steps = Table(title=f"run {summary.run}", title_justify="left")
    steps.add_column("step")
    steps.add_column("seconds", justify="right")
    steps.add_column("")
    for name, seconds in summary.seconds.items():
        steps.add_row(name, f"{seconds:.1f}", "unchanged, reused" if name in summary.reused else "")
    console.print(steps)
    scores = Table(title="held-out pages, 0 to 10 (95 % interval)", title_justify="left")
    for column in ("system", "overall", "VSA", "CAD", "TCC", "UII", "failed", "WUB"):
        scores.add_column(column, justify="left" if column == "system" else "right")
    for name, system in {"candidate": summary.evaluation, **summary.baselines}.items():
        if system:
            visual = system.wcgb_visual
            interval = visual.intervals["overall"]
            groups = [f"{getattr(visual, group):.2f}" for group in ("vsa", "cad", "tcc", "uii")]
            overall = f"{visual.overall:.2f} ({interval.low:.2f}-{interval.high:.2f})"
            scores.add_row(name, overall, *groups, f"{visual.render_failed}/{visual.num}", f"{system.wub.accuracy:.1%}")
    console.print(scores)
    if summary.benchmarks:
        console.print(_benchmarks(summary))
    if summary.decision and summary.model:
        aliases = f" ({', '.join(summary.model.aliases)})" if summary.model.aliases else ""
        console.print(
            f"{summary.decision.reason}\nmodel   {summary.model.name} version {summary.model.version}{aliases}"
        )
    console.print(f"report  {os.path.relpath(summary.report)}", soft_wrap=True)
    console.print("UIs     make up   (Prefect, Ray dashboard and MLflow on this machine; make down stops them)")


def _benchmarks(summary: RunSummary) -> Table:
    from web2code.standing import COLUMNS, cells  # reading benchmarks takes a second that --help should not

    table = Table(title="benchmarks, shares in percent (95 % interval, p after Holm)", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("benchmark", "figure") else "right")
    for result in summary.benchmarks.values():
        table.add_row(*cells(result))
    return table


def show_services(services: list[Service], home: Path) -> None:
    """Names and addresses."""
    for service in services:
        if find_service(home, service.name):
            console.print(f"{service.name:<16} {service.url}")
    console.print(f"Ray's token      {os.path.relpath(home / 'services' / 'ray.token')}", soft_wrap=True)


if __name__ == "__main__":
    app()

"""The command `web2code evaluate`: a model's scores on benchmarks, with intervals and every answer kept."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from web2code.benchmark_folders import find_folders, needs_judge
from web2code.config import (
    GROUPS,
    BenchmarkJob,
    Endpoint,
    EngineConfig,
    EngineKind,
    JudgeConfig,
    RegisteredCheckpoint,
    WeightsType,
    Where,
    digest_tree,
)
from web2code.hub import fetch
from web2code.mistakes import fail
from web2code.options import parse_folders, require_unused
from web2code.plan import BENCHMARKS_FOLDER, home_folder
from web2code.programs import run_program

if TYPE_CHECKING:
    from web2code.evaluation.results import BenchmarkScores, Figure, Scores

console = Console()
# The main figure comes first; all are in the folder.
SHOWN = 6
# Options that only a judge has a use for.
JUDGES = (
    "judge_model", "judge_url", "judge_key", "judge_repeats", "judge_max_tokens", "judge_max_side", "judge_timeout",
    "judge_swap", "input_price", "output_price", "max_cost",
)  # fmt: skip
# Beside them whatever its place is: what published tables give in place of the official metric, and how far the replies
# of a judge differ.
ALWAYS = ("containment", "sd overall", "sd model", "sd judge", "F1, mean of splits")


def evaluate(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="Folder of a checkpoint, a registered model (NAME@ALIAS, models:/NAME/VERSION), a public model's "
            "name (OWNER/NAME, OWNER/NAME@REVISION), or with --url a name there."
        ),
    ],
    benchmarks: Annotated[
        str, typer.Option(help="Names, separated by commas; a folder may follow each, e.g. wub,wcgb=pages.")
    ],
    data: Annotated[Path, typer.Option(help="Folder that holds a folder for each benchmark.")] = BENCHMARKS_FOLDER,
    engine: Annotated[
        Literal["auto", "vllm", "transformers", "openai"],
        typer.Option(help="What answers; auto is vLLM on GPUs, transformers without, and openai with --url."),
    ] = "auto",
    url: Annotated[str, typer.Option(help="OpenAI-compatible server, e.g. http://127.0.0.1:8000/v1.")] = "",
    key_variable: Annotated[
        str, typer.Option(help="Environment variable that holds the key of --url; without one, none is sent.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Folder of one model's results; by default results/NAME.")] = None,
    name: Annotated[
        str, typer.Option(help="How tables call the model; by default its last name, of RUN/model it is RUN.")
    ] = "",
    dtype: Annotated[
        WeightsType, typer.Option(help="Of the weights; auto is as they were saved, and float32 on CPUs.")
    ] = "auto",
    max_length: Annotated[int, typer.Option(min=0, help="Tokens of prompt and answer; 0 is the model's own.")] = 0,
    limit: Annotated[int, typer.Option(min=0, help="Only the first samples of each benchmark; 0 takes all.")] = 0,
    engines: Annotated[int, typer.Option(min=1, help="Copies of the model that answer side by side.")] = 1,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of each copy.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once, to each endpoint.")] = 8,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that an answer of --url may take.")] = 600,
    judge_model: Annotated[
        list[str] | None,
        typer.Option(help="Model that judges, for the benchmarks that need one; repeatable, and the mean counts."),
    ] = None,
    judge_url: Annotated[str, typer.Option(help="OpenAI-compatible endpoint of the judge.")] = "",
    judge_key: Annotated[str, typer.Option(help="Environment variable that holds its key.")] = "OPENAI_API_KEY",
    judge_repeats: Annotated[int, typer.Option(min=1, help="Times that it is asked about each answer.")] = 1,
    judge_max_tokens: Annotated[
        int, typer.Option(min=1, help="Limit of a judge's reply; one that thinks before it answers needs more.")
    ] = 1024,
    judge_max_side: Annotated[
        int,
        typer.Option(min=64, help="Longest side in pixels of a picture that it is shown; larger ones are scaled down."),
    ] = 2048,
    judge_timeout: Annotated[
        float, typer.Option(min=1, help="Seconds that a judge's reply may take; one that thinks needs more.")
    ] = 120,
    judge_swap: Annotated[bool, typer.Option(help="Ask it about two answers (LLaVA-Bench) in both orders.")] = False,
    input_price: Annotated[float, typer.Option(help="The judge's, of a million tokens, for the cost meter.")] = 0.0,
    output_price: Annotated[float, typer.Option(help="The judge's, of a million tokens, for the cost meter.")] = 0.0,
    max_cost: Annotated[
        float, typer.Option(help="Stop each judge once it cost this, in all runs into --out; 0 means never.")
    ] = 0.0,
) -> None:
    """Ask a model what benchmarks ask, and score its answers: figures with 95 % intervals, failures counted.

    Killed, the same command goes on: what was answered is not asked again.
    """
    try:
        folders = find_folders(parse_benchmarks(benchmarks), data)
        kind = engine if engine != "auto" else "openai" if url else "vllm" if gpus else "transformers"
        check_engine(kind, url, dtype, max_length, gpus, engines)
        check_key(key_variable, url)
        if not url:
            require_unused(context, ["timeout"], "it is for answers of --url: leave it out")
        if judged := needs_judge(folders):
            if not (judge_model and judge_url):
                raise ValueError(f"{judged}: give --judge-model and --judge-url")
        else:
            require_unused(context, JUDGES, "no model judges these benchmarks: leave it out, or add wcgb_judge")
            if not url:
                require_unused(context, ["concurrency"], "no endpoint is asked: leave it out")
        found = find_model(model, url)
        short = name or found.called
        out = out or Path("results") / short
        job = BenchmarkJob(
            where=Where(
                home=str(home_folder()), data_dir=str(data.resolve()), out=str(out.resolve()), num_workers=engines,
                gpus_per_worker=gpus, folders={key: str(folder.resolve()) for key, folder in folders.items()},
                endpoint=Endpoint(
                    url=url, key_variable=key_variable, concurrency=concurrency, timeout_seconds=timeout
                ),
                judge=Endpoint(
                    url=judge_url, key_variable=judge_key, concurrency=concurrency, timeout_seconds=judge_timeout,
                    input_price=input_price, output_price=output_price, max_cost=max_cost,
                ),
            ),
            judge=JudgeConfig(
                models=judge_model, max_tokens=judge_max_tokens, repeats=judge_repeats, max_side=judge_max_side,
                swap=judge_swap,
            ) if judge_model else None,
            name=short, checkpoint=found.checkpoint,
            engine=EngineConfig(
                kind=kind, model=found.model, revision=found.revision, dtype=dtype, max_length=max_length
            ),
            benchmarks={key: digest_tree(folder) for key, folder in folders.items()}, limit=limit, seed=seed,
        )  # fmt: skip
    except ValueError as error:
        fail(error)
    run_program("ray_jobs.benchmark", job.model_dump_json())
    show(out)


def check_engine(kind: EngineKind, url: str, dtype: WeightsType, max_length: int, gpus: int, engines: int) -> None:
    """Raise ValueError where an option does not go with what answers: none is passed over."""
    if (kind == "openai") != bool(url):
        raise ValueError("--url and --engine openai belong together: give both or neither")
    if url and (dtype != "auto" or max_length or gpus):
        raise ValueError("--dtype, --max-length and --gpus do not reach a model behind --url: give them to its server")
    if url and engines > 1:
        raise ValueError("--engines does not copy a model behind --url: raise --concurrency")
    if kind == "transformers" and gpus > 1:
        raise ValueError(f"--gpus {gpus}: transformers runs each copy on one GPU: give --engines, or --engine vllm")


def check_key(variable: str, url: str) -> None:
    """Raise ValueError where the key that is named would not be sent."""
    if variable and not url:
        raise ValueError("--key-variable names the key of --url: give both or neither")
    if variable and not os.environ.get(variable):
        raise ValueError(f"--key-variable {variable}: the environment has no such variable: set it to the key")


def parse_benchmarks(text: str) -> dict[str, str]:
    """`"wub,wcgb=pages"` as `{"wub": "", "wcgb": "pages"}`.

    Raises:
        ValueError: no benchmark is named, or one twice.
    """
    given = parse_folders(filter(None, map(str.strip, text.split(","))))
    if not given:
        raise ValueError("no benchmark is named: give --benchmarks, e.g. wub,wcgb")
    return given


@dataclass(frozen=True)
class Found:
    """A model that is there.

    Args:
        model: its folder, its name on the hub, or the name that a server knows.
        called: how tables call it.
        checkpoint: what identifies its weights: a digest of its files, a name with its commit, or where it is served.
        revision: the commit on the hub.
    """

    model: str
    called: str
    checkpoint: str
    revision: str = ""


def find_model(model: str, url: str = "") -> Found:
    """A model in a folder, in the registry, on the hub, or behind `url`.

    Raises:
        ValueError: it is neither a folder nor what the hub, or its cache on this machine, has.
    """
    if url:
        return Found(model, last_name(model), f"{model} at {url}")
    if Path(model).is_dir():
        return Found(str(Path(model).resolve()), last_name(os.path.abspath(model)), digest_tree(Path(model)))
    if model.startswith("models:/") or ("@" in model and "/" not in model):
        return find_registered(model)
    commit, public = fetch(model, ["config.json"]).name, model.partition("@")[0]
    return Found(public, last_name(model), f"{public}@{commit}", commit)


def last_name(model: str) -> str:
    """The last name of a path, or the one before where that is `model`, as of all checkpoints of training."""
    before, last = ["", *model.rstrip("/").split("/")][-2:]
    return before if last == "model" and before else last


def find_registered(model: str) -> Found:
    """A registered model, called by its name and version."""
    output = run_program("tasks.fetch_model", json.dumps({"model": model, "home": str(home_folder())}))
    found = RegisteredCheckpoint.model_validate_json(output.splitlines()[-1])
    return Found(found.folder, f"{found.name}-v{found.version}", digest_tree(Path(found.folder)))


def show(folder: Path) -> None:
    """A table of the figures in a folder of results."""
    from web2code.evaluation.results import read_scores
    from web2code.evaluation.results import show as text

    scores = read_scores(folder)
    table = Table(title=f"{scores.model} (95 % interval)", title_justify="left")
    for column in ("benchmark", "figure", "value", "samples", "without answer or score"):
        table.add_column(column, justify="left" if column in ("benchmark", "figure") else "right")
    for key, benchmark in scores.benchmarks.items():
        lost = benchmark.num - benchmark.outcomes.get("scored", 0)
        for place, figure in enumerate(shown_figures(benchmark)):
            num = f"only the first {benchmark.num}" if benchmark.limit else str(benchmark.num)
            counts = (num, str(lost)) if place == 0 else ("", "")
            value = f"{text(figure.value, figure.scale)} ({figure.interval(' to ')})"
            table.add_row("" if place else key, figure.name, value, *counts)
    console.print(table)
    for key, benchmark in scores.benchmarks.items():
        told = ": ".join(filter(None, (key, benchmark.title, benchmark.notice)))
        console.print(told, soft_wrap=True, highlight=False)
    show_errors(folder, scores)
    for judge, spent in scores.judges.items():
        console.print(f"judge {judge}: {spent}", soft_wrap=True, highlight=False)
    show_agreement(folder, scores)
    console.print(f"results  {folder}", soft_wrap=True, highlight=False)


def shown_figures(benchmark: BenchmarkScores) -> list[Figure]:
    """The figures that are printed: the first ones, and `ALWAYS`."""
    return [one for place, one in enumerate(benchmark.figures) if place < SHOWN or one.name.startswith(ALWAYS)]


def show_errors(folder: Path, scores: Scores) -> None:
    """The errors that scorers raised, the commonest first: pages that failed for one may not be at fault."""
    from web2code.evaluation.benchmarks.benchmark import SCORER_RAISED
    from web2code.evaluation.results import read_rows

    for key, benchmark in scores.benchmarks.items():
        rows = read_rows(folder, key) if benchmark.outcomes.get("failed") else []
        raised = Counter(row.reason for row in rows if row.reason.startswith(SCORER_RAISED))
        for reason, num in raised.most_common(SHOWN):
            told = f"{key}: {num} of {benchmark.num} failed: {reason}"
            console.print(told, soft_wrap=True, highlight=False, markup=False)


def show_agreement(folder: Path, scores: Scores) -> None:
    """How far judges agree with the computed scores of the same pages, and several of them with each other."""
    if "wcgb_judge" not in scores.benchmarks:
        return
    from web2code.evaluation.judges.agreement import agreement_with_computed, scores_of
    from web2code.evaluation.judges.ensemble import panel_agreement, panel_of
    from web2code.evaluation.results import read_rows

    judged = scores_of(read_rows(folder, "wcgb_judge"))
    if "wcgb" in scores.benchmarks:
        computed = scores_of(read_rows(folder, "wcgb"))
        found = agreement_with_computed(judged, computed, scores.bootstrap_samples, scores.seed)
        table = Table(title="judge and computed scores, correlation over pages (95 % interval)", title_justify="left")
        for column in ("score", "pages", "Pearson", "Spearman", "Kendall"):
            table.add_column(column, justify="left" if column == "score" else "right")
        for name, one in found.items():
            cells = (
                f"{each.mean:.2f} ({each.low:.2f} to {each.high:.2f})"
                for each in (one.pearson, one.spearman, one.kendall)
            )
            table.add_row(name, str(one.num), *cells)
        console.print(table if found else "judge and computed scores share too few pages that differ for a correlation")
    if panel := panel_of(judged):
        table = Table(title=f"agreement of {', '.join(panel)}", title_justify="left")
        for column in ("score", "Spearman, mean over pairs", "Krippendorff's alpha"):
            table.add_column(column, justify="left" if column == "score" else "right")
        for name, between in panel_agreement(panel, GROUPS).items():
            table.add_row(name, f"{between.spearman:.2f}", f"{between.alpha:.2f}")
        console.print(table)

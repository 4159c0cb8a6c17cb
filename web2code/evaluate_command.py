"""The command `web2code evaluate`: a model's scores on benchmarks, with intervals and every answer kept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import typer
from rich.console import Console
from rich.table import Table

from web2code.config import BenchmarkJob, Endpoint, EngineConfig, JudgeConfig, Where, digest_tree
from web2code.mistakes import fail
from web2code.plan import home_folder
from web2code.programs import run_program

console = Console()
# The main figure comes first; all are in the folder.
SHOWN = 6


def evaluate(
    model: Annotated[
        str,
        typer.Argument(help="Folder of a checkpoint, a public model's name, or with --url a name there."),
    ],
    benchmarks: Annotated[
        str, typer.Option(help="Names, separated by commas; a folder may follow each, e.g. wub,wcgb=pages.")
    ],
    data: Annotated[Path, typer.Option(help="Folder that holds a folder for each benchmark.")] = Path("benchmarks"),
    engine: Annotated[
        Literal["auto", "vllm", "transformers", "openai"],
        typer.Option(help="What answers; auto is vLLM on GPUs, transformers without, and openai with --url."),
    ] = "auto",
    url: Annotated[str, typer.Option(help="OpenAI-compatible server, e.g. http://127.0.0.1:8000/v1.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder of the results; by default results/MODEL.")] = None,
    name: Annotated[str, typer.Option(help="How tables call the model; by default its last name.")] = "",
    dtype: Annotated[
        Literal["auto", "bfloat16", "float16", "float32"], typer.Option(help="Precision of the weights.")
    ] = "auto",
    max_length: Annotated[int, typer.Option(min=0, help="Tokens of prompt and answer; 0 is the model's own.")] = 0,
    limit: Annotated[int, typer.Option(min=0, help="Only the first samples of each benchmark; 0 takes all.")] = 0,
    engines: Annotated[int, typer.Option(min=1, help="Copies of the model that answer side by side.")] = 1,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of each copy.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once, to each endpoint.")] = 8,
    judge_model: Annotated[str, typer.Option(help="Model that judges, for the benchmarks that need one.")] = "",
    judge_url: Annotated[str, typer.Option(help="OpenAI-compatible endpoint of the judge.")] = "",
    judge_key: Annotated[str, typer.Option(help="Environment variable that holds its key.")] = "OPENAI_API_KEY",
    judge_repeats: Annotated[int, typer.Option(min=1, help="Times that it is asked about each page.")] = 1,
    judge_swap: Annotated[bool, typer.Option(help="Ask it about two answers in both orders.")] = False,
    input_price: Annotated[float, typer.Option(help="The judge's, of a million tokens, for the cost meter.")] = 0.0,
    output_price: Annotated[float, typer.Option(help="The judge's, of a million tokens, for the cost meter.")] = 0.0,
    max_cost: Annotated[float, typer.Option(help="Stop judging at this cost; 0 means never.")] = 0.0,
) -> None:
    """Ask a model what benchmarks ask, and score its answers: figures with 95 % intervals, failures counted.

    Killed, the same command goes on: what was answered is not asked again.
    """
    try:
        folders = find_folders(benchmarks, data)
        kind = engine if engine != "auto" else "openai" if url else "vllm" if gpus else "transformers"
        if (kind == "openai") != bool(url):
            raise ValueError("--url and --engine openai belong together: give both or neither")
        if needs_judge(folders) and not (judge_model and judge_url):
            raise ValueError(f"{needs_judge(folders)} is judged by a model: give --judge-model and --judge-url")
        short = name or model.rstrip("/").rsplit("/", 1)[-1]
        out = out or Path("results") / short
        job = BenchmarkJob(
            where=Where(
                home=str(home_folder()), data_dir=str(data.resolve()), out=str(out.resolve()), num_workers=engines,
                gpus_per_worker=gpus, folders={key: str(folder.resolve()) for key, folder in folders.items()},
                endpoint=Endpoint(url=url, concurrency=concurrency),
                judge=Endpoint(
                    url=judge_url, key_variable=judge_key, concurrency=concurrency, input_price=input_price,
                    output_price=output_price, max_cost=max_cost,
                ),
            ),
            judge=JudgeConfig(model=judge_model, repeats=judge_repeats, swap=judge_swap) if judge_model else None,
            name=short, checkpoint=identity_of(model, url),
            engine=EngineConfig(kind=kind, model=absolute(model), dtype=dtype, max_length=max_length),
            benchmarks={key: digest_tree(folder) for key, folder in folders.items()}, limit=limit, seed=seed,
        )  # fmt: skip
    except (ValueError, pydantic.ValidationError) as error:
        fail(error)
    run_program("ray_jobs.benchmark", job.model_dump_json())
    show(out)


def find_folders(benchmarks: str, data: Path) -> dict[str, Path]:
    """The folder of each benchmark.

    Raises:
        ValueError: a benchmark is not known, or its folder is not there.
    """
    from web2code.evaluation.benchmarks import BENCHMARKS  # reading them takes a second that --help should not

    folders: dict[str, Path] = {}
    for text in filter(None, benchmarks.split(",")):
        key, _, folder = text.strip().partition("=")
        if key not in BENCHMARKS:
            raise ValueError(f"no benchmark is called {key!r}: there are {', '.join(sorted(BENCHMARKS))}")
        source = BENCHMARKS[key].answers_of or key
        folders[key] = Path(folder) if folder else folders.get(source, data / source)
        folders.setdefault(source, folders[key])
        if not folders[key].is_dir():
            raise ValueError(f"{key}: {folders[key]} is not there: make it, and put into it {BENCHMARKS[key].fetch}")
    if not folders:
        raise ValueError("no benchmark is named: give --benchmarks, e.g. wub,wcgb")
    return folders


def needs_judge(names: Iterable[str]) -> str:
    """The first of these benchmarks that a model judges; empty where none is."""
    from web2code.evaluation.benchmarks import BENCHMARKS

    return next((name for name in names if BENCHMARKS[name].model_judge), "")


def identity_of(model: str, url: str) -> str:
    """What identifies the weights: a digest of a folder's files, or else the name and where it is served."""
    folder = Path(model)
    return digest_tree(folder) if folder.is_dir() and not url else f"{model} at {url}" if url else model


def absolute(model: str) -> str:
    """A folder with its whole path, another name as it is."""
    return str(Path(model).resolve()) if Path(model).is_dir() else model


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
        for place, figure in enumerate(benchmark.figures[:SHOWN]):
            value, low, high = (text(number, figure.scale) for number in (figure.value, figure.low, figure.high))
            counts = (str(benchmark.num), str(lost)) if place == 0 else ("", "")
            table.add_row("" if place else key, figure.name, f"{value} ({low} to {high})", *counts)
    console.print(table)
    console.print(f"results  {folder}", soft_wrap=True, highlight=False)

"""The commands `web2code data ...`: build, validate, select, compare and look at datasets."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console
from rich.table import Table

from web2code.config import (
    BuildJob,
    CheckName,
    Contamination,
    DataConfig,
    Endpoint,
    SelectionConfig,
    SelectionJob,
    SourceConfig,
    ValidationConfig,
    ValidationRecord,
    Viewport,
    Where,
    WriterConfig,
    digest_tree,
)
from web2code.evaluate_command import find_model
from web2code.mistakes import fail
from web2code.options import parse_folders, require_unused
from web2code.plan import home_folder, source_folder
from web2code.programs import run_program

if TYPE_CHECKING:
    from web2code.data.sources import Source

app = typer.Typer(no_args_is_help=True, help="Build, validate, select, compare and look at datasets of samples.")
console = Console()

Folder = Annotated[Path, typer.Argument(help="Folder of a dataset that `build` made.")]
# Options of `build` that only a model that writes has a use for.
WRITERS = (
    "writer_url", "writer_key", "writer_licence", "requests_per_minute", "concurrency", "input_price", "output_price",
    "max_cost",
)  # fmt: skip


@app.command()
def build(
    context: typer.Context,
    source: Annotated[
        list[str],
        typer.Option(
            "--source", metavar="NAME[=FOLDER]", help="A source, with the folder it is read from; repeatable."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the dataset.")] = Path("dataset"),
    part: Annotated[list[str] | None, typer.Option(help="Take only these parts of the sources; repeatable.")] = None,
    mixture: Annotated[str, typer.Option(help="Take the parts of this mixture, e.g. dwcg+dwu.")] = "",
    max_samples: Annotated[
        int, typer.Option(help="Records or pages taken from each source; 0 takes all, and of `written` 1,000.")
    ] = 0,
    eval_share: Annotated[float, typer.Option(help="Share of pages that are held out.")] = 0.0,
    tokenizer: Annotated[str, typer.Option(help="Tokenizer that counts tokens: a folder or a public name.")] = "",
    scrub: Annotated[bool, typer.Option(help="Replace e-mail addresses and telephone numbers.")] = False,
    seed: Annotated[int, typer.Option(help="Another seed writes and refines otherwise.")] = 0,
    viewport: Annotated[str, typer.Option(help="Window in which pages are rendered.")] = "1280x720",
    writer_model: Annotated[str, typer.Option(help="Model that writes new data; without one, procedures do.")] = "",
    writer_url: Annotated[str, typer.Option(help="OpenAI-compatible endpoint, e.g. http://127.0.0.1:8000/v1.")] = "",
    writer_key: Annotated[str, typer.Option(help="Environment variable that holds its key.")] = "OPENAI_API_KEY",
    writer_licence: Annotated[str, typer.Option(help="Licence of what the model writes.")] = "generated",
    requests_per_minute: Annotated[float, typer.Option(help="Rate limit; 0 means none.")] = 0.0,
    concurrency: Annotated[int, typer.Option(help="Requests at once.")] = 8,
    input_price: Annotated[float, typer.Option(help="Of a million tokens, for the cost meter.")] = 0.0,
    output_price: Annotated[float, typer.Option(help="Of a million tokens, for the cost meter.")] = 0.0,
    max_cost: Annotated[float, typer.Option(help="Stop asking at this cost; 0 means never.")] = 0.0,
    dry_run: Annotated[bool, typer.Option(help="Count what would be made, asked and paid, and make nothing.")] = False,
) -> None:
    """Build a dataset from public data and writers; stopped, the same command goes on."""
    from web2code.data.sources import SOURCES  # reading its parts takes a second that --help should not

    try:
        if not writer_model:
            require_unused(context, WRITERS, "without --writer-model no model writes: name one, or leave it out")
        elif not writer_url:
            raise ValueError("--writer-model is asked at --writer-url: give both or neither")
        folders = {name: _resolved(name, folder, SOURCES) for name, folder in parse_folders(source).items()}
        parts = _parts(part or [], mixture, {name: SOURCES[name].parts for name in folders})
        data = DataConfig(
            sources=tuple(
                SourceConfig(
                    name=name, digest=digest_tree(Path(folder)) if folder else "", parts=parts[name],
                    max_samples=max_samples, eval_share=eval_share,
                )
                for name, folder in folders.items()
                if parts[name]
            ),
            writer=WriterConfig(model=writer_model, licence=writer_licence),
            viewport=_viewport(viewport),
            tokenizer=tokenizer, scrub=scrub, seed=seed,
        )  # fmt: skip
        where = Where(
            home=str(home_folder()), data_dir=str(out.resolve()), out=str(out.resolve()), folders=folders,
            dry_run=dry_run,
            endpoint=Endpoint(
                url=writer_url, key_variable=writer_key, requests_per_minute=requests_per_minute,
                concurrency=concurrency, input_price=input_price, output_price=output_price, max_cost=max_cost,
            ),
        )  # fmt: skip
    except ValueError as error:
        fail(error)
    run_program("ray_jobs.build_dataset", BuildJob(where=where, data=data).model_dump_json())
    if not dry_run:
        stats(out)


@app.command()
def validate(
    folder: Folder,
    against: Annotated[
        list[Path] | None, typer.Option(help="Dataset whose held-out samples must not be trained on; repeatable.")
    ] = None,
    context: Annotated[int, typer.Option(help="Tokens of a training sequence.")] = 2048,
    image_tokens: Annotated[int, typer.Option(help="Tokens that a picture takes.")] = 576,
    max_quarantined: Annotated[float, typer.Option(help="Share of rows above which the data is bad.")] = 0.02,
    contamination: Annotated[
        Contamination, typer.Option(help="either: picture or text is alike; both: both are.")
    ] = "either",
    block: Annotated[list[str] | None, typer.Option(help="A check that only counts by default; repeatable.")] = None,
) -> None:
    """Judge a dataset: rows that fail a check are quarantined, and too many of them are an error."""
    try:
        defaults, checks = ValidationConfig(), get_args(CheckName)
        for name in block or []:
            if name not in checks:
                raise ValueError(f"--block {name}: choose one of {', '.join(checks)}")
        gate = ValidationConfig(
            context=context, image_tokens=image_tokens, max_quarantined=max_quarantined, contamination=contamination,
            warn=tuple(name for name in defaults.warn if name not in (block or [])),
        )  # fmt: skip
    except ValueError as error:
        fail(error)
    job = {
        "folder": str(folder.resolve()), "home": str(home_folder()), "gate": gate.model_dump(),
        "against": [str(other.resolve()) for other in against or []],
    }  # fmt: skip
    output = run_program("tasks.validate", json.dumps(job))
    _show_verdict(ValidationRecord.model_validate_json(output.splitlines()[-1]))


@app.command()
def select(
    folder: Folder,
    model: Annotated[
        str, typer.Option(help="Causal language model or image-text-to-text model: folder, registered or public name.")
    ],
    score: Annotated[
        list[str] | None, typer.Option(help="ifd, vfd, mifd or ffd; repeatable. The first decides, by default ifd.")
    ] = None,
    percentiles: Annotated[str, typer.Option(help="Keep this window of percentiles, e.g. 10-90.")] = "",
    ratios: Annotated[str, typer.Option(help="Keep this window of scores, e.g. 0.2-1.")] = "",
    part: Annotated[list[str] | None, typer.Option(help="Score only these parts; repeatable.")] = None,
    max_tokens: Annotated[int, typer.Option(help="Longer texts are not scored.")] = 2048,
    batch_size: Annotated[int, typer.Option(help="Texts that are scored at once.")] = 8,
    workers: Annotated[int, typer.Option(help="Scorers at once; 0 means one for each core or GPU.")] = 0,
    gpus_per_worker: Annotated[float, typer.Option(help="GPUs of each scorer; a share of one is possible.")] = 0.0,
) -> None:
    """Score samples by instruction-following difficulty and keep a window of them."""
    scores = score or ["ifd"]
    try:
        if percentiles and ratios:
            raise ValueError("--percentiles and --ratios are each a window: give one of them")
        window = _window("--ratios", ratios) if ratios else _window("--percentiles", percentiles or "0-100")
        found = find_model(model)
        selection = SelectionConfig(
            scores=tuple(scores), keep=scores[0], model=found.model, revision=found.revision,
            by="ratio" if ratios else "percentile", window=window, parts=tuple(part or []), max_tokens=max_tokens,
            batch_size=batch_size,
        )  # type: ignore[arg-type]  # fmt: skip
    except ValueError as error:
        fail(error)
    job = SelectionJob(
        home=str(home_folder()), folder=str(folder.resolve()), selection=selection, checkpoint=found.checkpoint,
        num_workers=workers, gpus_per_worker=gpus_per_worker,
    )  # fmt: skip
    run_program("ray_jobs.select_data", job.model_dump_json())


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="Folder of the older dataset, or FOLDER@REVISION of this repository.")],
    new: Annotated[str, typer.Argument(help="Folder of the newer one, or FOLDER@REVISION.")],
) -> None:
    """What changed between two versions: samples added, removed, changed, by source, with examples."""
    from web2code.inspection.difference import compare

    try:
        difference = compare(old, new)
    except (ValueError, OSError) as error:
        fail(error)
    table = Table(title=f"{old} to {new}", title_justify="left")
    for column in ("part", "source", "added", "removed", "changed", "unchanged"):
        table.add_column(column, justify="left" if column in ("part", "source") else "right")
    for change in difference.changes:
        counts = (change.added, change.removed, change.changed, change.unchanged)
        table.add_row(change.part, change.source, *(f"{count:,}" for count in counts))
    console.print(table)
    for change in difference.changes:
        for example in change.examples:
            console.print(f"  {example}", highlight=False, markup=False)
    console.print(f"{difference.new_bytes / 1e6:.1f} MB of new shards, {difference.shared_bytes / 1e6:.1f} MB shared")


@app.command()
def stats(folder: Folder) -> None:
    """Sizes, tokens, tags and depth of every part, beside the published figures."""
    from web2code.data.licences import restriction
    from web2code.data.shards import load_record
    from web2code.inspection.statistics import PUBLISHED, Spread, dataset_statistics

    try:
        record, statistics = load_record(folder), dataset_statistics(folder)
    except ValueError as error:
        fail(error)

    def own(value: Spread | None) -> str:
        return f"{value.mean:.1f}±{value.deviation:.1f}" if value else ""

    table = Table(title=f"dataset {record.fingerprint}", title_justify="left", caption="published: arXiv 2406.20098")
    for column in ("part", "size", "held out", "tokens", "tags", "depth", "unique"):
        table.add_column(column, justify="left" if column == "part" else "right", no_wrap=True)
    for part in statistics:
        table.add_row(
            part.part, f"{part.size:,}", f"{part.num_held_out:,}", own(part.answer_tokens), own(part.tags),
            own(part.depth), own(part.unique_tags),
        )  # fmt: skip
        if known := PUBLISHED.get(part.part):
            figures = [known.get(name) for name in ("tokens", "tags", "depth", "unique_tags")]
            shown = [f"{value[0]:g}±{value[1]:g}" if isinstance(value, tuple) else "" for value in figures]
            table.add_row("  published", f"{known['size']:,}", "", *shown, style="dim")
    console.print(table)
    licences = record.all_licences
    console.print(f"licences: {', '.join(licences)}; use: {restriction(licences)}", highlight=False)
    if record.num_quarantined:
        console.print(f"{record.num_quarantined:,} rows left out; `web2code data preview` shows why")


@app.command()
def preview(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="The page; beside the dataset by default.")] = None,
    per_part: Annotated[int, typer.Option(help="Samples shown of each part.")] = 6,
    seed: Annotated[int, typer.Option(help="Another seed shows other samples.")] = 0,
) -> None:
    """Write a page of samples as a person wants to see them."""
    from web2code.report.preview import write_preview

    try:
        path = write_preview(folder, out or folder.with_name(f"{folder.resolve().name}-preview.html"), per_part, seed)
    except ValueError as error:
        fail(error)
    console.print(f"page    {os.path.relpath(path)}", soft_wrap=True)


def _show_verdict(record: ValidationRecord) -> None:
    table = Table(title=f"{record.num_rows:,} rows, {record.num_quarantined:,} quarantined", title_justify="left")
    for column in ("check", "on failure", "rows", "share", "for example"):
        table.add_column(column, justify="right" if column in ("rows", "share") else "left")
    for name, check in record.checks.items():
        style = "" if not check.num_bad else "yellow" if check.severity == "warn" else "red"
        action = "count" if check.severity == "warn" else "quarantine"
        table.add_row(
            name, action, f"{check.num_bad:,}", f"{check.share:.2%}", ", ".join(check.examples[:2]), style=style
        )
    console.print(table)
    console.print(
        f"label masks: {record.cut_share:.2%} of samples have an answer that is cut off, {record.untrained_share:.2%} "
        f"one that is not trained on at all; code that splits on strings would damage {record.marker_share:.2%}"
    )
    if record.non_commercial:
        console.print("[yellow]non-commercial[/yellow]: so is every model trained on it", highlight=False)
    console.print(f"Data Docs  {record.data_docs}", soft_wrap=True, highlight=False)


def _resolved(name: str, folder: str, sources: Mapping[str, Source]) -> str:
    return str(Path(folder).resolve()) if source_folder(name, folder, sources) else ""


def _viewport(text: str) -> Viewport:
    if not (found := re.fullmatch(r"(\d+)x(\d+)", text)):
        raise ValueError(f"--viewport {text}: write it as WIDTHxHEIGHT, e.g. 1280x720")
    return Viewport(width=int(found[1]), height=int(found[2]))


def _window(option: str, text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    try:
        return float(low), float(high)
    except ValueError:
        raise ValueError(f"{option} {text}: write it as LOW-HIGH, e.g. 10-90") from None


def _parts(wanted: list[str], mixture: str, known: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    if mixture:
        from web2code.mixtures import resolve_mixture

        chosen = resolve_mixture(mixture)
        wanted = [*wanted, *(share.part for share in (*chosen.align, *chosen.instruct))]
    offered = {part for parts in known.values() for part in parts}
    if wanted and (missing := [part for part in wanted if part not in offered]):
        raise ValueError(f"no source given here has part {missing[0]!r}: they have {', '.join(sorted(offered))}")
    return {name: tuple(part for part in parts if not wanted or part in wanted) for name, parts in known.items()}

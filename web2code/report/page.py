"""Puts a report together from a run's records, and writes it as one self-contained file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from web2code.artifacts import read_record
from web2code.config import EvaluationRecord, Interval, StageRecord
from web2code.data.pages import read_pages
from web2code.data.shards import load_record
from web2code.plan import Plan
from web2code.report.gallery import Case, choose, data_uri, make_case, read_lines, thumbnail
from web2code.report.html import write_page
from web2code.report.plots import interval_plot, loss_curve, time_bars
from web2code.standing import COLUMNS, cells
from web2code.summary import RunSummary

GROUP_TITLES = {
    "overall": "Overall",
    "vsa": "VSA · structure",
    "cad": "CAD · colour",
    "tcc": "TCC · text",
    "uii": "UII · interface",
}
SYSTEM_TITLES = {
    "candidate": "this model",
    "champion": "champion",
    "untrained": "untrained model",
    "constant_page": "best constant page",
}
WORST, MIDDLE, BEST = 18, 9, 9
SAMPLE_PAGES = 12


def write_report(
    out: Path, summary: RunSummary, plan: Plan, stages: Sequence[StageRecord], evaluation_dir: Path
) -> Path:
    """Write the report of a run to `out`; every text is escaped, and generated HTML is shown as text only."""
    evaluation = read_record(str(evaluation_dir), EvaluationRecord)
    assert evaluation is not None, evaluation_dir
    record = load_record(plan.data_dir)
    names = [name for name in SYSTEM_TITLES if name in evaluation.systems]
    pictures = evaluation_dir / "pictures"
    candidate = [row for row in read_lines(evaluation_dir / "samples.jsonl") if row["system"] == "candidate"]
    shots = [row for row in read_lines(evaluation_dir / "screenshots.jsonl") if row["system"] == "candidate"]
    write_page(
        out,
        "report.html.j2",
        summary=summary,
        recipe=plan.recipe,
        evaluation=evaluation,
        dataset=record,
        stages=stages,
        curves=[loss_curve(stage.losses, f"loss of {stage.name}") for stage in stages],
        scores=interval_plot(_score_rows(evaluation, names), "scores with 95 % intervals"),
        times=time_bars({name: value for name, value in summary.seconds.items() if name != "total"}),
        systems={name: SYSTEM_TITLES[name] for name in names},
        groups=GROUP_TITLES,
        benchmark_columns=COLUMNS,
        benchmarks=[cells(result) for result in summary.benchmarks.values()],
        pages=_sample_pages(plan.data_dir),
        gallery=[
            (title, [make_case(row, pictures / "reference" / f"{row['id']}.png",
                               pictures / "candidate" / f"{row['id']}.png") for row in rows])
            for title, rows in choose(candidate, "overall", WORST, MIDDLE, BEST)
        ],
        screenshots=[_shot(row, pictures) for row in sorted(shots, key=lambda row: row["similarity"])],
    )  # fmt: skip
    return out


def _score_rows(evaluation: EvaluationRecord, names: list[str]) -> list[tuple[str, list[tuple[str, Interval]]]]:
    return [
        (title, [(SYSTEM_TITLES[name], evaluation.systems[name].wcgb_visual.intervals[group]) for name in names])
        for group, title in GROUP_TITLES.items()
    ]


def _sample_pages(data_dir: Path) -> list[dict[str, Any]]:
    rows = read_pages(data_dir, "eval")
    step = max(1, len(rows) // SAMPLE_PAGES)
    return [
        {"caption": row["caption"], "questions": row["questions"], "image": data_uri(thumbnail(row["image"], 200))}
        for row in rows[::step][:SAMPLE_PAGES]
    ]


def _shot(row: dict[str, Any], pictures: Path) -> Case:
    return make_case(
        row, pictures / "screenshots" / f"{row['id']}.png", pictures / "candidate" / "screenshots" / f"{row['id']}.png"
    )

"""Pages of what a model answered in one benchmark: picture, question, answer and verdict."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from web2code.evaluation.results import BenchmarkScores, Row, Scores, clean, read_picture, read_rows, show
from web2code.report.gallery import thumbnail
from web2code.report.html import write_page

ROWS_PER_PAGE = 60
PICTURE_WIDTH = 400
MAX_PICTURES = 4
MAX_CHARS = 20_000
OUTCOMES = {
    "scored": "scored",
    "unparsed": "says nothing in the asked form",
    "failed": "could not be scored",
    "no_answer": "no answer",
    "unjudged": "no verdict of the judge",
}


@dataclass(frozen=True)
class Shown:
    """One sample on the page; pictures are addresses of files beside it."""

    row: Row
    pictures: list[str]
    rendering: str
    answer: str
    facts: str


def write_answers(out: Path, folder: Path, scores: Scores, name: str) -> Path:
    """Write the pages `NAME-1.html`, `NAME-2.html` ... to the folder `out`; returns the first.

    Samples that were not scored come first, then all others in the benchmark's order. Every text is escaped, and HTML
    is shown as text only.
    """
    rows = sorted(read_rows(folder, name), key=lambda row: row.outcome == "scored")
    num_pages = max(1, ceil(len(rows) / ROWS_PER_PAGE))
    for page in range(num_pages):
        write_page(
            out / f"{name}-{page + 1}.html",
            "answers.html.j2",
            scores=scores,
            name=name,
            benchmark=scores.benchmarks[name],
            figures=figure_lines(scores.benchmarks[name]),
            outcomes=OUTCOMES,
            page=page + 1,
            num_pages=num_pages,
            renderings=any(row.rendering for row in rows),
            shown=[_shown(out, folder, row) for row in rows[page * ROWS_PER_PAGE : (page + 1) * ROWS_PER_PAGE]],
        )
    return out / f"{name}-1.html"


def figure_lines(benchmark: BenchmarkScores) -> list[tuple[str, str, str]]:
    """Name, value and interval of every figure, as texts."""
    return [(figure.name, show(figure.value, figure.scale), figure.interval()) for figure in benchmark.figures]


def _shown(out: Path, folder: Path, row: Row) -> Shown:
    return Shown(
        row=row,
        pictures=[_picture(out, folder, name) for name in row.pictures[:MAX_PICTURES]],
        rendering=_picture(out, folder, row.rendering),
        answer=_cut(row.answer),
        facts=_cut(clean("\n".join(f"{name}: {_plain(value)}" for name, value in row.facts.items()))),
    )


def _picture(out: Path, folder: Path, name: str | None) -> str:
    """Address of a picture, made small; empty where there is none. Many samples may show the same one."""
    path = out / "pictures" / f"{name}.webp"
    if not path.exists():
        try:
            image = thumbnail(read_picture(folder, name), PICTURE_WIDTH, 2 * PICTURE_WIDTH)
        except ValueError:
            return ""
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, "WEBP", quality=80)
    return f"pictures/{path.name}"


def _cut(text: str) -> str:
    left_out = len(text) - MAX_CHARS
    return f"{text[:MAX_CHARS]}\n… and {left_out:,} more characters" if left_out > 0 else text


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

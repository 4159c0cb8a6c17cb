"""WebSRC v1.0: questions with extracted answers about segments of pages, a CSV file for each web site."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from web2code.data.readers.conversations import require
from web2code.data.sample import ImageFile, Rejected, Sample, dialogue

SOURCE, LICENCE = "websrc", "CC-BY-4.0"
COLUMNS = ("question", "id", "answer")


def read_websrc(root: Path) -> Iterator[Sample | Rejected]:
    """One sample a page, with its questions and answers as they are, from `<domain>/<site>/dataset.csv`.

    The page of a question is `id[2:9]`, its picture `processed_data/<page>.png`, its HTML `<page>.html`.

    Raises:
        ValueError: no `dataset.csv` is there, or one lacks a column.
    """
    files = sorted(root.rglob("dataset.csv"))
    if not files:
        require(root / "auto" / "01" / "dataset.csv")
    for path in files:
        site = path.parent.relative_to(root).as_posix()
        with open(path, encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if missing := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
                raise ValueError(f"{path} has no column {missing[0]!r}: it is no WebSRC file")
            for page, questions in groupby(rows, key=lambda row: (row["id"] or "")[2:9]):
                yield _page(path.parent / "processed_data", site, page, list(questions))


def _page(folder: Path, site: str, page: str, questions: list[dict[str, str]]) -> Sample | Rejected:
    name = f"{SOURCE}/{site}/{page}"
    picture = folder / f"{page}.png"
    if not picture.exists():
        return Rejected(name, SOURCE, "image not found", str(picture.name))
    pairs = [(row["question"] or "", row["answer"] or "") for row in questions]
    if not all(question.strip() and answer.strip() for question, answer in pairs):
        pairs = [(question, answer) for question, answer in pairs if question.strip() and answer.strip()]
    if not pairs:
        return Rejected(name, SOURCE, "no question or no answer")
    return Sample(
        id=name, part="WebSRC", source=SOURCE, licence=LICENCE, messages=dialogue(pairs), image=ImageFile(picture),
        page=name,
    )  # fmt: skip

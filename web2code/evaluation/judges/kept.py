"""What an evaluation left in its folder of one system's pages, for a judge to see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from web2code.config import GROUPS
from web2code.evaluation.answers import extract_html
from web2code.evaluation.judges.wcgb import Page


def kept_pages(out: Path, system: str) -> Iterator[Page]:
    """The pages of a system (`candidate`, `untrained` ...) in the folder `out`, with their pictures."""
    for row in _rows(out, system):
        reference = (out / "pictures" / "reference" / f"{row['id']}.png").read_bytes()
        if row["outcome"] == "rendered":
            yield Page(row["id"], reference, (out / "pictures" / system / f"{row['id']}.png").read_bytes())
        elif extract_html(row["html"]) is None:
            yield Page(row["id"], reference, outcome="unparsed", reason=row["reason"])
        else:
            yield Page(row["id"], reference, outcome="failed", reason=row["reason"])


def kept_scores(out: Path, system: str) -> dict[str, dict[str, float]]:
    """The groups and aspects that were computed without a judge, by page, of the pages that were rendered."""
    return {
        row["id"]: {group: row[group] for group in GROUPS} | row["aspects"]
        for row in _rows(out, system)
        if row["outcome"] == "rendered"
    }


def _rows(out: Path, system: str) -> list[dict[str, Any]]:
    with (out / "samples.jsonl").open(encoding="utf-8") as stream:
        rows = [row for row in map(json.loads, stream) if row["system"] == system]
    if not rows:
        raise ValueError(f"{out} holds no page of {system!r}: name a system that the evaluation judged")
    return rows

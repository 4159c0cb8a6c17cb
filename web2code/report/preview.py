"""A page that shows samples of a dataset as a person wants to see them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from web2code.config import DatasetRecord
from web2code.data import shards
from web2code.data.licences import restriction
from web2code.data.sample import is_html
from web2code.inspection.statistics import PUBLISHED, dataset_statistics
from web2code.report.gallery import data_uri, thumbnail
from web2code.report.html import write_page

PICTURE_WIDTH = 480
MAX_TURNS = 12


@dataclass(frozen=True)
class Shown:
    """One sample on the page."""

    id: str
    facts: str
    picture: str
    turns: list[tuple[str, str, bool]]


def write_preview(folder: Path, out: Path, per_part: int = 6, seed: int = 0) -> Path:
    """Write a self-contained page with statistics, samples of every part, and what was left out and why.

    Every text is escaped and HTML is shown as text: nothing of a sample is run.
    """
    record = shards.load_record(folder)
    left_out = shards.read_quarantine(folder)
    write_page(
        out,
        "preview.html.j2",
        name=folder.resolve().name,
        record=record,
        total=sum(record.num_samples.values()),
        restriction=restriction(record.all_licences),
        statistics=[(one, PUBLISHED.get(one.part, {})) for one in dataset_statistics(folder)],
        parts=[(part, samples_of(folder, record, part, per_part, seed)) for part in record.num_samples],
        left_out=Counter(row["reason"] for row in left_out).most_common(),
        examples=left_out[:50],
        spread=lambda value: f"{value.mean:.1f} ± {value.deviation:.1f}" if value else "",
        published=lambda value: f"{value[0]:g} ± {value[1]:g}" if value else "",
    )
    return out


def samples_of(folder: Path, record: DatasetRecord, part: str, num: int, seed: int) -> list[Shown]:
    """`num` samples of a part, drawn by the seed from a few of its shards."""
    rng = Random(f"{seed}/{part}")
    of_part = [shard for shard in record.shards if shard.part == part]
    some = rng.sample(of_part, min(len(of_part), num))
    shown = []
    for i, shard in enumerate(some):
        wanted = num // len(some) + (i < num % len(some))
        positions = set(rng.sample(range(shard.num_rows), min(wanted, shard.num_rows)))
        shown += [_show(row) for n, row in enumerate(shards.read_rows(folder, [shard])) if n in positions]
    return shown


def _show(row: dict[str, Any]) -> Shown:
    size = f"{row['width']} x {row['height']} pixels, " if row["image"] else "no picture, "
    facts = f"{size}{row['num_tokens']} tokens, {row['licence']}, {row['split']}"
    turns = [(message["role"], message["text"], is_html(message["text"])) for message in row["messages"][:MAX_TURNS]]
    if len(row["messages"]) > MAX_TURNS:
        turns.append(("", f"and {len(row['messages']) - MAX_TURNS} more messages", False))
    picture = thumbnail(row["image"], PICTURE_WIDTH, 4 * PICTURE_WIDTH) if row["image"] else None
    return Shown(id=row["id"], facts=facts, picture=data_uri(picture), turns=turns)

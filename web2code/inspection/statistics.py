"""The published tables of Web2Code, recomputed for any dataset and set beside the published figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from web2code.config import QUESTION_PARTS
from web2code.data import shards

# Published: Web2Code (arXiv 2406.20098), tables 5 and 6 and, for the raw sources, the table it compares them in.
# Sizes in samples, of question parts in question-answer pairs; figures are (mean, standard deviation).
PUBLISHED: Mapping[str, Mapping[str, tuple[float, float] | int]] = {
    "DWCG": {
        "size": 60_000, "tokens": (471.8, 162.3), "tags": (28.1, 10.6), "depth": (5.3, 1.0), "unique_tags": (13.6, 2.7),
    },
    "DWCG_R": {
        "size": 824_700, "tokens": (652.85, 157.0), "tags": (35.3, 9.0), "depth": (6.5, 1.0),
        "unique_tags": (13.5, 2.5),
    },
    "DWU": {"size": 243_500},
    "DWU_R": {"size": 51_500},
    "WebSight": {"size": 823_000, "tokens": (647, 216), "tags": (19, 8), "depth": (5, 1), "unique_tags": (10, 3)},
    "Pix2Code": {
        "size": 1_700, "tokens": (658.7, 0.0), "tags": (51.6, 0.0), "depth": (8.0, 0.0), "unique_tags": (17.0, 0.0),
    },
}  # fmt: skip
COLUMNS = (
    "part", "split", "num_messages", "message_tokens", "is_html", "num_tags", "dom_depth", "num_unique_tags",
    "image_bytes", "num_chars",
)  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class PartStatistics:
    """One part of a dataset; `answer_tokens` and the figures of HTML are over answers that are documents, if any."""

    part: str
    num_samples: int
    num_pairs: int
    num_held_out: int
    size: int
    answer_tokens: Spread
    tags: Spread | None
    depth: Spread | None
    unique_tags: Spread | None
    image_bytes: int


def dataset_statistics(folder: Path) -> list[PartStatistics]:
    """Statistics of every part, in the order of their names."""
    table = shards.read_manifest(folder, list(COLUMNS))
    parts = sorted(set(table["part"].to_pylist()))
    return [_part(name, table.filter(pc.equal(table["part"], name))) for name in parts]


def _part(name: str, table: pa.Table) -> PartStatistics:
    is_html = table["is_html"].to_numpy()
    pairs = int(table["num_messages"].to_numpy().sum()) // 2
    lists = table["message_tokens"].combine_chunks()
    last = lists.values.to_numpy()[np.maximum(lists.offsets.to_numpy()[1:] - 1, 0)]
    html = {
        figure: _spread(table[column].to_numpy()[is_html]) if is_html.any() else None
        for figure, column in (("tags", "num_tags"), ("depth", "dom_depth"), ("unique_tags", "num_unique_tags"))
    }
    return PartStatistics(
        part=name,
        num_samples=table.num_rows,
        num_pairs=pairs,
        num_held_out=int((table["split"].to_pandas() == "eval").sum()),
        size=pairs if name in QUESTION_PARTS else table.num_rows,
        answer_tokens=_spread(last[is_html] if is_html.any() else last),
        image_bytes=int(table["image_bytes"].to_numpy().sum()),
        **html,
    )


def _spread(values: np.ndarray) -> Spread:
    return Spread(float(values.mean()), float(values.std()))

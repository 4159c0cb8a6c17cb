"""The dataset on disk: Parquet shards of pages, a manifest without pixels, and a record of both."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lxml.html
import pyarrow as pa
import pyarrow.parquet as pq
from lxml import etree
from PIL import Image

from web2code.artifacts import sha256_of
from web2code.config import DatasetRecord, Shard
from web2code.pages.page import Page
from web2code.rendering.snapshot import Snapshot

MANIFEST = "manifest.parquet"
RECORD = "dataset.json"

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("split", pa.string()),
        ("source", pa.string()),
        ("licence", pa.string()),
        ("html", pa.string()),
        ("caption", pa.string()),
        (
            "questions",
            pa.list_(pa.struct([("question", pa.string()), ("answer", pa.string()), ("kind", pa.string())])),
        ),
        ("image", pa.binary()),
        ("image_sha256", pa.string()),
        ("html_sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("image_bytes", pa.int64()),
        ("html_chars", pa.int32()),
        ("html_parses", pa.bool_()),
        ("image_decodes", pa.bool_()),
        ("num_questions", pa.int32()),
        ("shard", pa.string()),
    ]
)


def build_row(page: Page, snapshot: Snapshot, split: str, shard: str) -> dict[str, Any]:
    """A rendered page as a row of `SCHEMA`."""
    return {
        "id": page.id,
        "split": split,
        "source": page.source,
        "licence": page.licence,
        "html": page.html,
        "caption": page.caption,
        "questions": [vars(question) for question in page.questions],
        "image": snapshot.png,
        "image_sha256": hashlib.sha256(snapshot.png).hexdigest(),
        "html_sha256": hashlib.sha256(page.html.encode()).hexdigest(),
        "width": snapshot.width,
        "height": snapshot.height,
        "image_bytes": len(snapshot.png),
        "html_chars": len(page.html),
        "html_parses": html_parses(page.html),
        "image_decodes": image_decodes(snapshot.png),
        "num_questions": len(page.questions),
        "shard": shard,
    }


def write_shard(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows to a Parquet file that is there in full or not at all; the same rows give the same bytes."""
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA), unfinished, compression="zstd", row_group_size=256)
    os.replace(unfinished, path)


def count_rows(path: Path) -> int:
    """Rows of a Parquet file."""
    return pq.read_metadata(path).num_rows


def finish(directory: Path, record: DatasetRecord) -> DatasetRecord:
    """Write the manifest of all shards, and the record with their checksums; returns that record."""
    paths = sorted(directory.glob("train-*.parquet")) + sorted(directory.glob("eval-*.parquet"))
    columns = [name for name in SCHEMA.names if name != "image"]
    tables = [pq.read_table(path, columns=columns) for path in paths]
    pq.write_table(pa.concat_tables(tables), directory / MANIFEST, compression="zstd")
    shards = tuple(
        Shard(
            path=path.name,
            split="train" if path.name.startswith("train-") else "eval",
            num_rows=table.num_rows,
            num_bytes=path.stat().st_size,
            sha256=sha256_of(path),
        )
        for path, table in zip(paths, tables, strict=True)
    )
    counts = {split: sum(shard.num_rows for shard in shards if shard.split == split) for split in ("train", "eval")}
    finished = record.model_copy(
        update={
            "shards": shards,
            "num_pages": sum(counts.values()),
            "num_train": counts["train"],
            "num_eval": counts["eval"],
            "num_questions": sum(sum(table["num_questions"].to_pylist()) for table in tables),
            "licences": tuple(sorted({licence for table in tables for licence in table["licence"].to_pylist()})),
        }
    )
    (directory / RECORD).write_text(finished.model_dump_json(indent=1))
    return finished


def load_record(directory: str | Path) -> DatasetRecord:
    """The record of a dataset directory.

    Raises:
        ValueError: there is no dataset.
    """
    path = Path(directory) / RECORD
    if not path.exists():
        raise ValueError(f"{path} is missing: run 'dvc checkout data --force', or delete {path.parent} and run again")
    return DatasetRecord.model_validate_json(path.read_text())


def verify_shards(directory: str | Path) -> DatasetRecord:
    """Hash every shard again.

    Raises:
        ValueError: a shard is missing or differs from the record; the message names it.
    """
    record = load_record(directory)
    for shard in record.shards:
        path = Path(directory) / shard.path
        problem = "is missing" if not path.exists() else "" if sha256_of(path) == shard.sha256 else "is corrupt"
        if problem:
            raise ValueError(f"{path} {problem}: run 'dvc checkout data --force' to restore it, then run again")
    return record


def read_rows(directory: str | Path, split: str, columns: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """The rows of a split, in order, with the named columns or all."""
    names = [shard.path for shard in load_record(directory).shards if shard.split == split]
    wanted = list(columns) if columns else None
    return [row for name in names for row in pq.read_table(Path(directory) / name, columns=wanted).to_pylist()]


def html_parses(html: str) -> bool:
    """Whether the document starts at `<html>` and has a body that a parser finds."""
    try:
        return html.startswith("<html") and lxml.html.document_fromstring(html).find("body") is not None
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return False


def image_decodes(png: bytes) -> bool:
    """Whether the picture can be decoded in full."""
    try:
        with Image.open(io.BytesIO(png)) as image:
            image.load()
        return True
    except (OSError, ValueError, Image.DecompressionBombError):
        return False

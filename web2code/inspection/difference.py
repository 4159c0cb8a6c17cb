"""What changed between two versions of a dataset: samples added, removed, changed, by source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from web2code.config import DatasetRecord
from web2code.data.shards import RECORD

COLUMNS = ("id", "part", "source", "text_sha256", "image_sha256", "split", "licence")
MAX_EXAMPLES = 3


@dataclass(frozen=True)
class Change:
    """How one part of one source changed. Examples are ids; a changed sample's with what changed."""

    part: str
    source: str
    added: int
    removed: int
    changed: int
    unchanged: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """All changes, and how many bytes of shards the newer version does not share with the older."""

    changes: tuple[Change, ...]
    new_bytes: int
    shared_bytes: int


def compare(old: str, new: str) -> Difference:
    """Compare two datasets: folders, URLs that fsspec knows, or `FOLDER@REVISION` of the DVC repository around here.

    Raises:
        ValueError: there is no dataset at one of them.
    """
    (old_record, old_rows), (new_record, new_rows) = _open(old), _open(new)
    keys = sorted({key for rows in (old_rows, new_rows) for key in rows})
    shared = {shard.sha256 for shard in old_record.shards}
    return Difference(
        changes=tuple(_change(key, old_rows.get(key, {}), new_rows.get(key, {})) for key in keys),
        new_bytes=sum(shard.num_bytes for shard in new_record.shards if shard.sha256 not in shared),
        shared_bytes=sum(shard.num_bytes for shard in new_record.shards if shard.sha256 in shared),
    )


Rows = dict[str, tuple[str | None, ...]]


def _change(key: tuple[str, str], old: Rows, new: Rows) -> Change:
    added = [name for name in new if name not in old]
    removed = [name for name in old if name not in new]
    changed = [name for name in new if name in old and new[name] != old[name]]
    examples = [
        *(f"+ {name}" for name in added[:MAX_EXAMPLES]),
        *(f"- {name}" for name in removed[:MAX_EXAMPLES]),
        *(f"~ {name} ({', '.join(_what(old[name], new[name]))})" for name in changed[:MAX_EXAMPLES]),
    ]
    return Change(*key, len(added), len(removed), len(changed), len(new) - len(added) - len(changed), tuple(examples))


def _what(old: Sequence[str | None], new: Sequence[str | None]) -> list[str]:
    names = ("text", "picture", "split", "licence")
    return [name for name, before, after in zip(names, old, new, strict=True) if before != after]


def _open(location: str) -> tuple[DatasetRecord, dict[tuple[str, str], Rows]]:
    """The record of a dataset, and its rows' hashes by (part, source) and id."""
    path, _, revision = location.partition("@")
    if revision:
        fs, root = fsspec.filesystem("dvc", rev=revision), path
    else:
        fs, root = fsspec.core.url_to_fs(path)
    if not fs.exists(f"{root}/{RECORD}"):
        raise ValueError(f"{location} holds no {RECORD}, so it is no dataset: name a folder, or FOLDER@REVISION")
    record = DatasetRecord.model_validate_json(fs.cat_file(f"{root}/{RECORD}"))
    rows: dict[tuple[str, str], Rows] = {}
    for manifest in record.manifests.values():
        with fs.open(f"{root}/{manifest}") as file:
            table: pa.Table = pq.read_table(file, columns=list(COLUMNS))
        columns = [table[name].to_pylist() for name in COLUMNS]
        for name, part, source, *hashes in zip(*columns, strict=True):
            rows.setdefault((part, source), {})[name] = tuple(hashes)
    return record, rows

"""A dataset on disk: Parquet shards named after their content, a manifest for each part, and a record of all.

    <part>/<split>-<sha256>.parquet     rows of `rows.SCHEMA`
    manifest/<part>-<sha256>.parquet    the same rows without pictures and messages
    quarantine-<sha256>.parquet         rows that were left out, with reasons
    dataset.json                        the record, which names all of them

The same rows give the same file under the same name, whatever else the dataset holds: adding a part leaves all other
files alone, and a changed sample changes one shard, because chunks end where a page's hash says so. The record is
written last, so that a dataset is the old one or the new one whenever its build is stopped.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pydantic

from web2code.artifacts import replace_text, sha256_of
from web2code.config import DatasetRecord, Shard
from web2code.data.rows import COLUMNS, SCHEMA
from web2code.data.sample import Rejected, Sample

RECORD = "dataset.json"
ROW_GROUP = 128
QUARANTINE_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "source", "reason", "detail")])


def cut(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    """Consecutive samples of one split in chunks of about `size` pages, cut where a page's hash says so.

    A page that is added or removed changes its own chunk and leaves the others as they were, and so does a further
    part that shows the same pages.
    """
    open_chunks: dict[str, list[Sample]] = {}
    num_pages: dict[str, int] = {}
    for sample in samples:
        chunk, page = open_chunks.setdefault(sample.split, []), sample.page or sample.id
        if not chunk or page != (chunk[-1].page or chunk[-1].id):
            if chunk and _ends(chunk[-1], num_pages[sample.split], size):
                yield open_chunks.pop(sample.split)
                chunk = open_chunks.setdefault(sample.split, [])
            num_pages[sample.split] = num_pages.get(sample.split, 0) + 1 if chunk else 1
        chunk.append(sample)
    yield from open_chunks.values()


def _ends(sample: Sample, num_pages: int, size: int) -> bool:
    page = sample.page or sample.id
    chosen = int.from_bytes(hashlib.sha256(page.encode()).digest()[:4], "big") % size == 0
    return (chosen and num_pages >= size // 4) or num_pages >= 4 * size


def write_shard(folder: Path, rows: Sequence[dict[str, Any]]) -> Shard:
    """Write rows of one part and split; the file is there in full, under its content's name, or not at all."""
    part, split = rows[0]["part"], rows[0]["split"]
    table = pa.Table.from_pylist(list(rows), SCHEMA)
    path, digest = _write_table(folder, f"{part}/{split}", [table])
    return Shard(
        path=path, part=part, split=split, num_rows=len(rows), num_bytes=(folder / path).stat().st_size, sha256=digest
    )


def finish(folder: Path, record: DatasetRecord, shards: Sequence[Shard], rejected: Sequence[Rejected]) -> DatasetRecord:
    """Write manifests, quarantine and, last, the record; returns it. Files of an earlier dataset are removed then."""
    shards = list({shard.path: shard for shard in shards}.values())
    licences: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    pairs: dict[str, int] = {}
    manifests = {}
    for part in sorted({shard.part for shard in shards}):
        of_part = [shard for shard in shards if shard.part == part]
        manifests[part] = _write_table(folder, f"manifest/{part}", (_metadata(folder, shard) for shard in of_part))[0]
        found = pq.read_table(folder / manifests[part], columns=["licence", "num_messages"])
        licences[part] = set(found["licence"].unique().to_pylist())
        pairs[part] = pc.sum(found["num_messages"]).as_py() // 2
        counts[part] = sum(shard.num_rows for shard in of_part)
    quarantined = pa.Table.from_pylist([vars(row) for row in rejected], QUARANTINE_SCHEMA)
    finished = record.model_copy(
        update={
            "shards": tuple(shards),
            "manifests": manifests,
            "quarantine": _write_table(folder, "quarantine", [quarantined])[0],
            "num_samples": counts,
            "num_pairs": pairs,
            "num_quarantined": len(rejected),
            "licences": {part: tuple(sorted(found)) for part, found in licences.items()},
        }
    )
    replace_text(folder / RECORD, finished.model_dump_json(indent=1))
    wanted = set(files_of(finished))
    for path in [*folder.glob("*/*.parquet"), *folder.glob("quarantine-*.parquet"), *folder.rglob(".*.unfinished")]:
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
    return finished


def files_of(record: DatasetRecord) -> list[str]:
    """Every file of a dataset, relative to its folder."""
    return [*(shard.path for shard in record.shards), *record.manifests.values(), record.quarantine, RECORD]


def _metadata(folder: Path, shard: Shard) -> pa.Table:
    table = pq.read_table(folder / shard.path, columns=list(COLUMNS))
    return table.append_column("shard", pa.array([shard.path] * table.num_rows, pa.string()))


def _write_table(folder: Path, name: str, tables: Iterable[pa.Table]) -> tuple[str, str]:
    """Write tables to one file called after `name` and its content: (path in `folder`, sha256)."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    unfinished = (folder / name).parent / f".{os.getpid()}.unfinished"
    writer = None
    for table in tables:
        writer = writer or pq.ParquetWriter(unfinished, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=ROW_GROUP if "image" in table.schema.names else None)
    assert writer is not None, f"no table for {name}"
    writer.close()
    digest = sha256_of(unfinished)
    path = f"{name}-{digest[:20]}.parquet"
    os.replace(unfinished, folder / path)
    return path, digest


def manifest_schema() -> pa.Schema:
    """Columns of a manifest: a row's without its content, and the shard that holds it."""
    return pa.schema([*(SCHEMA.field(name) for name in COLUMNS), pa.field("shard", pa.string())])


def load_record(folder: Path) -> DatasetRecord:
    """The record of a dataset.

    Raises:
        ValueError: there is none, or it is another kind.
    """
    path = folder / RECORD
    if not path.exists():
        raise ValueError(f"{path} is missing: run 'dvc checkout {folder.name} --force', or build a dataset there")
    try:
        return DatasetRecord.model_validate_json(path.read_text())
    except pydantic.ValidationError:
        raise ValueError(
            f"{path} was written by another version of web2code: move {folder} away and run again"
        ) from None


def verify(folder: Path) -> DatasetRecord:
    """Hash every shard again.

    Raises:
        ValueError: a shard is missing or differs; the message names it.
    """
    record = load_record(folder)
    for shard in record.shards:
        path = folder / shard.path
        if not path.exists():
            raise ValueError(
                f"{path} is missing: run 'dvc checkout {folder.name} --force' to restore it, then run again"
            )
        if sha256_of(path) != shard.sha256:
            raise ValueError(
                f"{path} is corrupt: run 'dvc checkout {folder.name} --force' to restore it, then run again"
            )
    return record


def read_manifest(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of all parts without their content, or only the named columns."""
    tables = [pq.read_table(folder / path, columns=columns) for path in load_record(folder).manifests.values()]
    return pa.concat_tables(tables) if tables else manifest_schema().empty_table()


def read_quarantine(folder: Path) -> list[dict[str, str]]:
    """What was left out, with reasons."""
    return pq.read_table(folder / load_record(folder).quarantine).to_pylist()


def read_rows(folder: Path, shards: Iterable[Shard], columns: Sequence[str] | None = None) -> Iterator[dict]:
    """Rows of some shards, in order; memory holds one row group."""
    for shard in shards:
        for batch in pq.ParquetFile(folder / shard.path).iter_batches(batch_size=ROW_GROUP, columns=columns):
            yield from batch.to_pylist()

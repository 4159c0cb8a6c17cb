"""The data gate over 1.18 million rows: all checks with near-duplicates and contamination, and Great Expectations."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.arms import interleave, report
from tasks.validate import ValidationJob, judge
from web2code.config import DataConfig, DatasetRecord, Shard, ValidationConfig
from web2code.data import shards
from web2code.validation.checks import check_rows

ROWS = 1_180_000
HELD_OUT = 6_000


def synthesise(folder: Path, rows: int = ROWS) -> None:
    """A manifest like that of Web2Code with LLaVA's mixture; a hundredth of the rows repeats another."""
    rng = np.random.default_rng(0)
    again = rng.random(rows) < 0.01
    phash = rng.integers(0, 2**63, rows, dtype=np.uint64)
    minhash = rng.integers(0, 2**32, (rows, 64), dtype=np.uint32)
    source = rng.integers(0, rows, rows)
    phash[again], minhash[again] = phash[source[again]], minhash[source[again]]
    split = np.where(np.arange(rows) < rows - HELD_OUT, "train", "eval")
    question, answer = rng.integers(10, 60, rows), rng.integers(100, 1400, rows)
    offsets = pa.array(np.arange(0, 2 * rows + 1, 2, dtype=np.int32))
    tokens = pa.array(np.stack([question, answer], axis=1).reshape(-1).astype(np.int32))
    columns = {
        "id": [f"sample/{i:07}" for i in range(rows)], "part": np.array(["DWCG", "DWCG_R", "DWU"])[np.arange(rows) % 3],
        "split": split, "source": np.full(rows, "synthetic"), "licence": np.full(rows, "MIT"),
        "page": [f"page/{i:07}" for i in range(rows)], "image_sha256": [f"{i:064x}" for i in range(rows)],
        "image_phash": phash, "width": np.full(rows, 1280, np.int32), "height": np.full(rows, 720, np.int32),
        "image_bytes": rng.integers(10_000, 40_000, rows), "text_sha256": [f"{i:064x}" for i in range(rows)],
        "text_minhash": [row.tobytes() for row in minhash], "num_messages": np.full(rows, 2, np.int32),
        "num_chars": (answer * 4).astype(np.int32), "num_tokens": (question + answer).astype(np.int32),
        "answer_tokens": answer.astype(np.int32),
        "message_tokens": pa.ListArray.from_arrays(offsets, tokens), "roles_alternate": np.ones(rows, bool),
        "num_empty": np.zeros(rows, np.int32), "num_collisions": (rng.random(rows) < 0.001).astype(np.int32),
        "num_pii": (rng.random(rows) < 0.027).astype(np.int32), "is_html": np.arange(rows) % 3 < 2,
        "has_body": np.ones(rows, bool), "num_tags": np.full(rows, 30, np.int32),
        "dom_depth": np.full(rows, 6, np.int32),
        "num_unique_tags": np.full(rows, 13, np.int32), "shard": np.full(rows, "none"),
    }  # fmt: skip
    (folder / "manifest").mkdir(parents=True)
    table = pa.table(columns).cast(shards.manifest_schema())
    pq.write_table(table, folder / "manifest" / "all.parquet", compression="zstd")
    pq.write_table(shards.QUARANTINE_SCHEMA.empty_table(), folder / "quarantine.parquet")
    none: tuple[Shard, ...] = ()
    record = DatasetRecord(
        fingerprint="0" * 16, data=DataConfig(sources=()), shards=none, manifests={"all": "manifest/all.parquet"},
        quarantine="quarantine.parquet", num_samples={"all": rows}, licences={"all": ("MIT",)},
    )  # fmt: skip
    (folder / shards.RECORD).write_text(record.model_dump_json())


def gate(folder: Path) -> int:
    """Quarantined rows, by the whole gate."""
    with tempfile.TemporaryDirectory() as home:
        return judge(ValidationJob(folder=str(folder), home=home)).num_quarantined


def checks(folder: Path) -> int:
    """Quarantined rows, by the checks alone."""
    config = ValidationConfig()
    frame, _ = check_rows(folder, [], config)
    blocking = [name for name in frame.columns[3:] if name not in config.warn]
    return int((~frame[blocking].all(axis=1)).sum())


def main() -> None:
    """Measure the gate, and the checks without Great Expectations."""
    with tempfile.TemporaryDirectory() as folder:
        synthesise(Path(folder) / "data")
        path = Path(folder) / "data"
        arms = interleave({"checks alone": partial(checks, path), "the whole gate": partial(gate, path)})
        report("Validating a manifest", ROWS, "rows", arms, f"{ROWS:,} rows, {HELD_OUT:,} of them held out.")


if __name__ == "__main__":
    main()

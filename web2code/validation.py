"""What the data gate looks at: the manifest of a dataset, with what can be computed from a row beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from web2code import dataset

COLUMNS = [name for name in dataset.SCHEMA.names if name != "image"]
ANSWERS = ("Yes", "No")


def read_manifest(data_dir: Path) -> pd.DataFrame:
    """The manifest of a dataset whose shards are whole.

    Raises:
        ValueError: it cannot be read, lacks a column, or tells something else than the shards do.
    """
    path = data_dir / dataset.MANIFEST
    remedy = f"run 'dvc checkout {data_dir.name} --force' to restore it, or delete {data_dir} to build it again"
    try:
        manifest = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path} cannot be read ({str(error).splitlines()[0]}): {remedy}") from None
    if missing := [name for name in COLUMNS if name not in manifest.column_names]:
        raise ValueError(f"{path} has no column {missing[0]!r}: {remedy}")
    shards = [pq.read_table(data_dir / shard.path, columns=COLUMNS) for shard in dataset.load_record(data_dir).shards]
    if not manifest.select(COLUMNS).equals(pa.concat_tables(shards)):
        raise ValueError(f"{path} does not tell what the shards hold: {remedy}")
    return manifest.to_pandas()


def with_checks(manifest: pd.DataFrame) -> pd.DataFrame:
    """The manifest without its questions, and with a column for each check that needs more than one value."""
    rows = manifest.to_dict("records")
    return manifest.assign(
        answers_valid=[_answers_valid(row["questions"]) for row in rows],
        questions_counted=[
            row["questions"] is not None and len(row["questions"]) == row["num_questions"] for row in rows
        ],
        html_hashed=[hashlib.sha256((row["html"] or "").encode()).hexdigest() == row["html_sha256"] for row in rows],
    ).drop(columns=["questions"])


def _answers_valid(questions: Sequence[dict[str, str]] | None) -> bool:
    return questions is not None and all(item["question"] and item["answer"] in ANSWERS for item in questions)

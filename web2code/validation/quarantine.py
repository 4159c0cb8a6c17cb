"""What the data gate left out, for those who train on the rest."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

QUARANTINE = "quarantine.parquet"


def verdict_folder(home: str | Path, fingerprint: str) -> Path:
    """Where a verdict lies, with its quarantine and its Data Docs."""
    return Path(home) / "artifacts" / "validation" / fingerprint


def read_quarantined(home: str | Path, fingerprint: str) -> set[str]:
    """Ids of the samples that a verdict keeps from training."""
    return set(pq.read_table(verdict_folder(home, fingerprint) / QUARANTINE, columns=["id"])["id"].to_pylist())

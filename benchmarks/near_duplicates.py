"""Near-duplicate texts by MinHash, against datasketch's LSH on the same signatures, and 1.18 million rows by ours."""

from __future__ import annotations

from functools import partial

import numpy as np
from datasketch import MinHash, MinHashLSH

from benchmarks.arms import interleave, report
from web2code.validation.near_duplicates import (
    BAND_ROWS,
    BANDS,
    MIN_SIMILARITY,
    image_clusters,
    image_matches,
    text_clusters,
    text_matches,
)

SOME, ALL, HELD_OUT = 50_000, 1_180_000, 6_000


def signatures(rows: int) -> np.ndarray:
    """Random ones, each hundredth a near-copy of the one before."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**32, (rows, 64), dtype=np.uint32)
    copies = np.arange(99, rows, 100)
    values[copies] = values[copies - 1]
    values[copies, :4] = rng.integers(0, 2**32, (len(copies), 4), dtype=np.uint32)
    return values


def datasketch_clusters(rows: int) -> int:
    """Rows that have an alike row before them, by datasketch."""
    index, found = MinHashLSH(num_perm=64, params=(BANDS, BAND_ROWS)), 0
    known: dict[int, MinHash] = {}
    for i, values in enumerate(signatures(rows)):
        sketch = MinHash(num_perm=64, hashvalues=values.astype(np.uint64), scheme="legacy")
        found += any(known[j].jaccard(sketch) >= MIN_SIMILARITY for j in index.query(sketch))
        index.insert(i, sketch)
        known[i] = sketch
    return found


def our_clusters(rows: int) -> int:
    """The same, by ours."""
    return int((text_clusters(signatures(rows)) != np.arange(rows)).sum())


def everything(rows: int) -> list[int]:
    """Near-duplicates among all rows and contamination of all by held-out ones, of pictures and texts."""
    texts = signatures(rows)
    images = np.random.default_rng(1).integers(0, 2**63, rows, dtype=np.uint64)
    held_out = slice(rows - HELD_OUT, rows)
    return [
        int((text_clusters(texts) != np.arange(rows)).sum()), int((image_clusters(images) != np.arange(rows)).sum()),
        len(text_matches(texts, texts[held_out])), len(image_matches(images, images[held_out])),
    ]  # fmt: skip


def main() -> None:
    """Measure both on some rows, and ours on all."""
    arms = interleave({"datasketch": partial(datasketch_clusters, SOME), "ours": partial(our_clusters, SOME)})
    report("Near-duplicate texts", SOME, "rows", arms, f"{SOME:,} signatures of 64 minima.")
    arms = interleave({"near-duplicates and contamination": partial(everything, ALL)})
    report("Near-duplicates at full size", ALL, "rows", arms, f"{ALL:,} rows, pictures and texts.")


if __name__ == "__main__":
    main()

"""The prepared dataset: token ids and pictures as memory-mapped arrays that training reads without parsing anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.format import open_memmap

from web2code.modelling.samples import IGNORED, Sample
from web2code.training.pictures import Pictures, open_pictures

if TYPE_CHECKING:
    from web2code.config import PreparedLayout, PreparedPart
    from web2code.modelling.image_text import ImageTextProcessor

LAYOUT = "layout.json"
# The keys of a shard's pictures, in their order.
KEYS = "picture_keys.npy"
NO_PICTURE = -1
# Of every array: its type, and whether it has an entry for each token, or else for each sample.
COLUMNS = {
    "tokens": (np.int32, True),
    "learned": (np.bool_, True),
    "lengths": (np.int32, False),
    "label_counts": (np.int32, False),
    "parts": (np.int8, False),
    "pages": (np.int64, False),
}


@dataclass(frozen=True)
class Arrays:
    """All samples of a dataset.

    `tokens` is flat; sample i is the `lengths[i]` of them from `offsets[i]` on, of which those are learned where
    `learned` is true, `label_counts[i]` in all. It belongs to `layout.parts[parts[i]]` and shows picture `pages[i]` of
    `pixels`, or none where that is negative; pictures are uint8 of shape (size, size, 3), or files for `processor`.
    """

    layout: PreparedLayout
    tokens: np.ndarray
    learned: np.ndarray
    lengths: np.ndarray
    label_counts: np.ndarray
    parts: np.ndarray
    pages: np.ndarray
    offsets: np.ndarray
    pixels: np.ndarray | Pictures
    processor: ImageTextProcessor | None = None

    def shown(self, indices: np.ndarray) -> np.ndarray:
        """The pictures of some samples, in their order: uint8 of shape (num_pictures, size, size, 3)."""
        pages = self.pages[indices]
        return self.pixels[pages[pages >= 0]]

    def files(self, indices: np.ndarray) -> list[bytes]:
        """The pictures of some samples, in their order, as the files that they are in the dataset."""
        assert isinstance(self.pixels, Pictures)
        pages = self.pages[indices]
        return self.pixels.files(pages[pages >= 0])

    def sample(self, index: int) -> Sample:
        """One sample as token ids and labels."""
        where = slice(self.offsets[index], self.offsets[index] + self.lengths[index])
        tokens = self.tokens[where]
        return Sample(tokens=tokens.tolist(), labels=np.where(self.learned[where], tokens, IGNORED).tolist())

    def of_stage(self, stage: str) -> list[tuple[PreparedPart, np.ndarray]]:
        """Each part that a stage is trained on, with the indices of its samples."""
        return [
            (part, np.flatnonzero(self.parts == number))
            for number, part in enumerate(self.layout.parts)
            if part.stage == stage
        ]


def columns_of(samples: Iterable[tuple[Sample, int, int]]) -> dict[str, np.ndarray]:
    """`COLUMNS` of (sample, page, part) triples; in a shard, pages are the keys of pictures that any shard may hold."""
    values: dict[str, list] = {name: [] for name in COLUMNS}
    for sample, page, part in samples:
        learned = [label != IGNORED for label in sample.labels]
        values["tokens"] += sample.tokens
        values["learned"] += learned
        values["lengths"].append(len(sample.tokens))
        values["label_counts"].append(sum(learned))
        values["parts"].append(part)
        values["pages"].append(page)
    return {name: np.asarray(values[name], dtype) for name, (dtype, _) in COLUMNS.items()}


def arrays_of(
    columns: dict[str, np.ndarray],
    pixels: np.ndarray | Pictures,
    layout: PreparedLayout,
    processor: ImageTextProcessor | None = None,
) -> Arrays:
    """Samples in memory, or on disk."""
    offsets = np.cumsum(columns["lengths"], dtype=np.int64) - columns["lengths"]
    return Arrays(layout=layout, **columns, offsets=offsets, pixels=pixels, processor=processor)


def write_columns(directory: Path, columns: dict[str, np.ndarray]) -> None:
    """Write `COLUMNS`, each to a file of its own."""
    for name, values in columns.items():
        np.save(directory / f"{name}.npy", values)


def picture_key(sha256: str | None) -> int:
    """What a picture is found by among a few million: 62 bits of its hash."""
    return int(sha256[:16], 16) >> 2 if sha256 else NO_PICTURE


def join_shards(directory: Path, shards: Sequence[Path], layout: PreparedLayout) -> None:
    """Make one dataset of shards: of `COLUMNS` and pictures each, of which the pictures stay where they are."""
    keys = np.concatenate([np.load(shard / KEYS) for shard in shards])
    by_key = np.argsort(keys)
    for name, (dtype, _) in COLUMNS.items():
        parts = [np.load(shard / f"{name}.npy", mmap_mode="r") for shard in shards]
        joined = open_memmap(directory / f"{name}.npy", "w+", dtype, (sum(map(len, parts)),))
        np.concatenate(parts, out=joined)
        if name == "pages":
            shown = joined != NO_PICTURE
            joined[shown] = by_key[np.searchsorted(keys, joined[shown], sorter=by_key)]
        joined.flush()
    names = [str(shard.relative_to(directory)) for shard in shards]
    (directory / LAYOUT).write_text(layout.model_copy(update={"shards": tuple(names)}).model_dump_json(indent=1))


def load_arrays(directory: Path) -> Arrays:
    """Open a prepared directory; pictures and tokens stay on disk until they are read."""
    # Not at the top: samples in memory need no more than numpy.
    from web2code.config import PreparedLayout
    from web2code.modelling.image_text import ImageTextProcessor, load_processor

    layout = PreparedLayout.model_validate_json((directory / LAYOUT).read_text())
    columns = {
        name: np.load(directory / f"{name}.npy", mmap_mode="r" if per_token else None)
        for name, (_, per_token) in COLUMNS.items()
    }
    processor = ImageTextProcessor(load_processor(directory / layout.processor)) if layout.processor else None
    return arrays_of(columns, open_pictures([directory / shard for shard in layout.shards]), layout, processor)

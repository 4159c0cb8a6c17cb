"""Pictures at training size, as they are or as JPEG, or files of pictures, read in any order."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from web2code.config import PictureFormat

PIXELS, OFFSETS = "pictures.npy", "picture_offsets.npy"
# Without colour subsampling: coloured text on a coloured ground stays sharp.
QUALITY, SUBSAMPLING = 95, 0


class Pictures:
    """Pictures of several shards, one after another; indexed by an array of numbers, as an array is."""

    def __init__(self, shards: Sequence[np.ndarray | EncodedPictures]) -> None:
        self.shards = shards
        self.starts = np.cumsum([0, *map(len, shards)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """uint8 of shape (num_indices, size, size, 3)."""
        if not len(indices):
            return np.empty((0, *self.shape), np.uint8)
        shards = np.searchsorted(self.starts, indices, side="right") - 1
        return np.stack([self.shards[shard][index - self.starts[shard]]
                         for shard, index in zip(shards, indices, strict=True)])  # fmt: skip

    def files(self, indices: np.ndarray) -> list[bytes]:
        """Encoded pictures as they were written."""
        shards = np.searchsorted(self.starts, indices, side="right") - 1
        return [self.shards[shard].file(index - self.starts[shard])
                for shard, index in zip(shards, indices, strict=True)]  # fmt: skip

    @property
    def shape(self) -> tuple[int, ...]:
        """(size, size, 3), of which all pictures are."""
        filled = next((shard for shard in self.shards if len(shard)), None)
        return (1, 1, 3) if filled is None else filled[0].shape


class EncodedPictures:
    """Encoded pictures of one shard."""

    def __init__(self, data: np.ndarray, offsets: np.ndarray) -> None:
        self.data, self.offsets = data, offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """uint8 of shape (size, size, 3)."""
        return np.asarray(Image.open(io.BytesIO(self.file(index))))

    def file(self, index: int) -> bytes:
        """A picture as it was written."""
        return self.data[self.offsets[index] : self.offsets[index + 1]].tobytes()


def write_pictures(directory: Path, pictures: Sequence[Any], form: PictureFormat) -> None:
    """Write a shard's pictures, each uint8 of shape (size, size, 3), or originals, which are files in bytes."""
    if form == "raw":
        np.save(directory / PIXELS, np.stack(pictures) if pictures else np.empty((0, 1, 1, 3), np.uint8))
        return
    encoded = [picture if form == "original" else _jpeg(picture) for picture in pictures]
    np.save(directory / PIXELS, np.frombuffer(b"".join(encoded), np.uint8))
    np.save(directory / OFFSETS, np.cumsum([0, *map(len, encoded)], dtype=np.int64))


def open_pictures(directories: Sequence[Path]) -> Pictures:
    """The pictures of some shards; they stay on disk until they are read."""
    return Pictures([_open(directory) for directory in directories])


def _open(directory: Path) -> np.ndarray | EncodedPictures:
    data = np.load(directory / PIXELS, mmap_mode="r")
    offsets = directory / OFFSETS
    return EncodedPictures(data, np.load(offsets)) if offsets.exists() else data


def _jpeg(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=QUALITY, subsampling=SUBSAMPLING)
    return stream.getvalue()

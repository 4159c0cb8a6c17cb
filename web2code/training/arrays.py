"""The prepared dataset: token ids and pixels as memory-mapped arrays that training reads without decoding anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from web2code.modelling.prompts import IGNORED, Sample

CAPTION, CODE, QUESTION = 0, 1, 2
KINDS = {"caption": CAPTION, "code": CODE, "question": QUESTION}


@dataclass(frozen=True)
class Arrays:
    """All samples of a dataset.

    `tokens` is flat; sample i is `tokens[offsets[i]:offsets[i + 1]]`, learned from its position `answers[i]` on;
    it shows picture `pages[i]` of `pixels`, which is uint8 of shape (num_pages, size, size, 3), or none where that is
    negative.
    """

    tokens: np.ndarray
    offsets: np.ndarray
    answers: np.ndarray
    pages: np.ndarray
    kinds: np.ndarray
    pixels: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of every sample."""
        return np.diff(self.offsets)

    @property
    def label_counts(self) -> np.ndarray:
        """Learned tokens of every sample."""
        return self.lengths - self.answers

    def shown(self, indices: np.ndarray) -> np.ndarray:
        """The pictures of some samples, in their order: uint8 of shape (num_pictures, size, size, 3)."""
        pages = self.pages[indices]
        return self.pixels[pages[pages >= 0]]

    def sample(self, index: int) -> Sample:
        """One sample as token ids and labels."""
        tokens = self.tokens[self.offsets[index] : self.offsets[index + 1]].tolist()
        start = int(self.answers[index])
        return Sample(tokens=tokens, labels=[IGNORED] * start + tokens[start:])


def write_samples(directory: Path, samples: Iterable[tuple[Sample, int, int]]) -> dict[str, int]:
    """Write (sample, page, kind) triples; returns the number of samples of each kind."""
    tokens: list[int] = []
    offsets, answers, pages, kinds = [0], [], [], []
    for sample, page, kind in samples:
        tokens.extend(sample.tokens)
        offsets.append(len(tokens))
        answers.append(sum(label == IGNORED for label in sample.labels))
        assert sample.labels[answers[-1] :] == sample.tokens[answers[-1] :], "one answer, at the end of its sample"
        pages.append(page)
        kinds.append(kind)
    np.save(directory / "tokens.npy", np.asarray(tokens, np.int32))
    np.save(directory / "offsets.npy", np.asarray(offsets, np.int64))
    np.save(directory / "answers.npy", np.asarray(answers, np.int32))
    np.save(directory / "pages.npy", np.asarray(pages, np.int32))
    np.save(directory / "kinds.npy", np.asarray(kinds, np.int8))
    return {name: kinds.count(kind) for name, kind in KINDS.items()}


def load_arrays(directory: Path) -> Arrays:
    """Open a prepared directory; pixels and tokens stay on disk until they are read."""
    return Arrays(**{
        name: np.load(directory / f"{name}.npy", mmap_mode="r")
        for name in ("tokens", "offsets", "answers", "pages", "kinds", "pixels")
    })  # fmt: skip

"""Which samples make which step: a pure function of seed, epoch and data, so that resuming needs no replay."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from web2code.training.arrays import Arrays

if TYPE_CHECKING:
    from web2code.config import StageConfig

MEGA_BATCHES = 8


class Order:
    """The samples of every global batch of a stage.

    An epoch has every sample of a part as often as the part's weight says; of a weight of 2.3 three samples in ten,
    others in every epoch, are there a third time. Where samples are grouped by length, each run of `MEGA_BATCHES`
    batches of the shuffled epoch is sorted by it and its batches are shuffled again, so that those of a batch are alike
    in length. By modality and length, as LLaVA's `LengthGroupedSampler` does it, samples with and without a picture are
    cut into batches apart, as the shuffled epoch has them: which of them meet is drawn at random. A batch is sorted by
    length so that all workers get long and short ones, and what is left of both kinds makes the last batch.

    As many samples as the stage holds out, drawn with the seed, are in no batch, nor is any other that shows their
    pictures; `held_out` has their indices, shortest first.

    Raises:
        ValueError: there is nothing to train on.
    """

    def __init__(self, arrays: Arrays, stage: StageConfig, seed: int) -> None:
        self.lengths, self.pictured = np.asarray(arrays.lengths), np.asarray(arrays.pages) >= 0
        every = [(indices, part.weight) for part, indices in arrays.of_stage(stage.name)]
        rng = np.random.default_rng(seed)
        seen = np.unique(np.concatenate([np.empty(0, np.int64), *(_drawn(rng, *part) for part in every)]))
        if not len(seen):
            raise ValueError(f"the prepared data has no sample for stage {stage.name!r}: see the recipe's mixture")
        drawn = rng.permutation(seen)[: stage.held_out]
        self.held_out = drawn[np.argsort(self.lengths[drawn], kind="stable")]
        apart = _apart_from(arrays, self.held_out)
        self.parts = [(indices[apart[indices]], weight) for indices, weight in every]
        num_samples = sum(_num_seen(len(indices), weight) for indices, weight in self.parts)
        if not num_samples:
            raise ValueError(
                f"{stage.held_out} of {len(seen)} samples held out leave none to train on: set held_out lower"
            )
        self.global_batch, self.grouping, self.seed = stage.global_batch, stage.grouping, seed
        self.batches_per_epoch = max(1, num_samples // self.global_batch)
        self._epoch = lru_cache(maxsize=2)(self._build_epoch)

    def batch(self, step: int) -> np.ndarray:
        """Indices of the samples of a step (counted from 0), `global_batch` of them."""
        epoch, index = divmod(step, self.batches_per_epoch)
        return self._epoch(epoch)[index]

    def _build_epoch(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, epoch])
        drawn = [_drawn(rng, indices, weight) for indices, weight in self.parts]
        indices = np.resize(rng.permutation(np.concatenate(drawn)), self.batches_per_epoch * self.global_batch)
        if self.grouping == "none":
            return indices.reshape(-1, self.global_batch)
        if self.grouping == "length":
            return self._by_length(rng, indices)
        return self._by_modality(rng, indices)

    def _by_length(self, rng: np.random.Generator, indices: np.ndarray) -> np.ndarray:
        """Batches of similar length: (number of batches, global batch)."""
        batches = []
        for start in range(0, len(indices), MEGA_BATCHES * self.global_batch):
            mega = indices[start : start + MEGA_BATCHES * self.global_batch]
            mega = mega[np.argsort(self.lengths[mega], kind="stable")].reshape(-1, self.global_batch)
            batches.append(mega[rng.permutation(len(mega))])
        return np.concatenate(batches)

    def _by_modality(self, rng: np.random.Generator, indices: np.ndarray) -> np.ndarray:
        """Batches of one modality each, and last, where there is a rest, one of what is left of both."""
        kinds = [indices[self.pictured[indices] == pictured] for pictured in (True, False)]
        cut = [np.split(kind, [len(kind) // self.global_batch * self.global_batch]) for kind in kinds]
        whole, rest = (np.concatenate(pieces).reshape(-1, self.global_batch) for pieces in zip(*cut, strict=True))
        batches = np.concatenate([rng.permutation(whole), rest])
        return np.take_along_axis(batches, np.argsort(self.lengths[batches], axis=1, kind="stable"), axis=1)


def _num_seen(num: int, weight: float) -> int:
    """How many of a part's samples an epoch has, repeated ones counted again."""
    return int(weight) * num + round(num * (weight % 1))


def _drawn(rng: np.random.Generator, indices: np.ndarray, weight: float) -> np.ndarray:
    again = _num_seen(len(indices), weight % 1)
    more = [rng.choice(indices, again, replace=False)] if again else []
    return np.concatenate([*[indices] * int(weight), *more]) if int(weight) or more else indices[:0]


def _apart_from(arrays: Arrays, held_out: np.ndarray) -> np.ndarray:
    """Of every sample, whether it is neither held out nor shows a held-out picture."""
    pages = np.asarray(arrays.pages)
    shown = pages[held_out]
    apart = ~np.isin(pages, shown[shown >= 0])
    apart[held_out] = False
    return apart

"""Which samples make which step: a pure function of seed, epoch and data, so that resuming needs no replay."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from web2code.training.arrays import CAPTION, CODE, QUESTION, Arrays

MEGA_BATCHES = 8


class Order:
    """The samples of every global batch of a stage.

    Samples of similar length meet in one batch, as in LLaVA's length grouping: each run of `MEGA_BATCHES` batches of
    the shuffled epoch is sorted by length and its batches are shuffled again. `held_out` samples, drawn with the seed,
    are in no batch, nor is any other that shows their pictures; `self.held_out` has their indices, shortest first.

    Raises:
        ValueError: nothing is left to train on.
    """

    def __init__(
        self, arrays: Arrays, captions: bool, question_share: float, global_batch: int, seed: int, held_out: int = 0
    ) -> None:
        self.lengths = np.asarray(arrays.lengths)
        kinds = np.asarray(arrays.kinds)
        main = np.flatnonzero(kinds == (CAPTION if captions else CODE))
        drawn = np.random.default_rng(seed).permutation(main)[:held_out]
        self.held_out = drawn[np.argsort(self.lengths[drawn], kind="stable")]
        apart = _apart_from(arrays, self.held_out)
        self.main = main[apart[main]]
        if held_out and not len(self.main):
            raise ValueError(f"{held_out} of {len(main)} samples held out leave none to train on: set held_out lower")
        self.questions = np.flatnonzero((kinds == QUESTION) & apart)
        share = 0.0 if captions else question_share
        self.num_questions = min(len(self.questions), round(len(self.main) * share / (1 - share))) if share < 1 else 0
        self.global_batch = global_batch
        self.seed = seed
        self.batches_per_epoch = max(1, (len(self.main) + self.num_questions) // global_batch)
        self._epoch = lru_cache(maxsize=2)(self._build_epoch)

    def batch(self, step: int) -> np.ndarray:
        """Indices of the samples of a step (counted from 0), `global_batch` of them."""
        epoch, index = divmod(step, self.batches_per_epoch)
        return self._epoch(epoch)[index]

    def _build_epoch(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, epoch])
        questions = rng.choice(self.questions, self.num_questions, replace=False)
        indices = rng.permutation(np.concatenate([self.main, questions]))
        needed = self.batches_per_epoch * self.global_batch
        indices = np.resize(indices, needed)
        batches = []
        for start in range(0, needed, MEGA_BATCHES * self.global_batch):
            mega = indices[start : start + MEGA_BATCHES * self.global_batch]
            mega = mega[np.argsort(self.lengths[mega], kind="stable")].reshape(-1, self.global_batch)
            batches.append(mega[rng.permutation(len(mega))])
        return np.concatenate(batches)


def _apart_from(arrays: Arrays, held_out: np.ndarray) -> np.ndarray:
    """Of every sample, whether it is neither held out nor shows a held-out picture."""
    pages = np.asarray(arrays.pages)
    shown = pages[held_out]
    apart = ~np.isin(pages, shown[shown >= 0])
    apart[held_out] = False
    return apart

"""Which samples make which step: a pure function of seed, epoch and data, so that resuming needs no replay."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from web2code.training.arrays import CAPTION, CODE, QUESTION, Arrays

MEGA_BATCHES = 8


class Order:
    """The samples of every global batch of a stage.

    Samples of similar length meet in one batch, as in LLaVA's length grouping: each run of `MEGA_BATCHES` batches of
    the shuffled epoch is sorted by length and its batches are shuffled again.
    """

    def __init__(self, arrays: Arrays, captions: bool, question_share: float, global_batch: int, seed: int) -> None:
        self.lengths = np.asarray(arrays.lengths)
        kinds = np.asarray(arrays.kinds)
        self.main = np.flatnonzero(kinds == (CAPTION if captions else CODE))
        self.questions = np.flatnonzero(kinds == QUESTION)
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

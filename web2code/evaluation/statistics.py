"""Uncertainty of scores by the bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from web2code.config import Interval


def bootstrap_interval(values: Sequence[float] | np.ndarray, samples: int, seed: int) -> Interval:
    """Mean and 95 % percentile interval over `samples` resamplings; the same seed gives the same interval."""
    data = np.asarray(values, float)
    if not len(data):
        return Interval(mean=0.0, low=0.0, high=0.0)
    drawn = np.random.default_rng(seed).integers(len(data), size=(samples, len(data)))
    low, high = np.percentile(data[drawn].mean(axis=1), [2.5, 97.5])
    return Interval(mean=float(data.mean()), low=float(low), high=float(high))


def paired_difference(first: Sequence[float], second: Sequence[float], samples: int, seed: int) -> Interval:
    """How much more `first` scores than `second` on the same pages: pages that are easy for both cancel out."""
    return bootstrap_interval(np.asarray(first, float) - np.asarray(second, float), samples, seed)

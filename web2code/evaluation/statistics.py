"""Uncertainty of scores by the bootstrap, and whether two models differ on the same units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from web2code.config import Interval
from web2code.evaluation.measure import Measure, chunks, draws, ratio


def bootstrap_interval(values: Sequence[float] | np.ndarray, samples: int, seed: int) -> Interval:
    """Mean and 95 % percentile interval over `samples` resamplings; the same seed gives the same interval."""
    data = np.asarray(values, float)
    if not len(data):
        return Interval(mean=0.0, low=0.0, high=0.0)
    drawn = np.random.default_rng(seed).integers(len(data), size=(samples, len(data)))
    low, high = np.percentile(data[drawn].mean(axis=1), [2.5, 97.5])
    return Interval(mean=float(data.mean()), low=float(low), high=float(high))


def share_interval(hits: Sequence[bool]) -> Interval:
    """A share with its 95 % interval by Wilson (1927), which tells how little none of a few says."""
    from scipy.stats import binomtest  # heavy: not all who resample need it

    if not hits:
        return Interval(mean=0.0, low=0.0, high=0.0)
    low, high = binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
    return Interval(mean=sum(hits) / len(hits), low=float(low), high=float(high))


def difference(first: Measure, second: Measure, samples: int, seed: int) -> Interval:
    """The figure of `first` less that of `second`, with the 95 % interval of resamplings that both have in common.

    Raises:
        ValueError: the two were not measured on the same units.
    """
    _check_paired(first, second)
    if not first.units:
        return Interval(mean=0.0, low=0.0, high=0.0)
    counts = draws(len(first.units), samples, seed)
    low, high = np.percentile(first.resampled(counts) - second.resampled(counts), [2.5, 97.5])
    return Interval(mean=first.value - second.value, low=float(low), high=float(high))


def paired_p(first: Measure, second: Measure, samples: int, seed: int) -> float:
    """How likely so large a difference is where the models are alike: McNemar's test for 0/1 means, else permutation.

    Raises:
        ValueError: as `difference`.
    """
    _check_paired(first, second)
    if _is_binary(first) and _is_binary(second):
        return mcnemar_p(first.terms[:, 0], second.terms[:, 0])
    return permutation_p(first, second, samples, seed)


def permutation_p(first: Measure, second: Measure, samples: int, seed: int) -> float:
    """Two-sided p-value of the difference when each unit's answers are swapped between the models by a coin.

    For a mean that is flipping signs of the units' differences. Where there are no more than `samples` ways to swap,
    all are tried and the value is exact; else it is (1 + as extreme) / (1 + drawn), which is never 0 (Phipson and
    Smyth, arXiv 1603.05766).

    Raises:
        ValueError: as `difference`.
    """
    _check_paired(first, second)
    swap = second.terms - first.terms
    swap = swap[swap.any(axis=1)]  # units that are alike change nothing
    sums, other = first.terms.sum(axis=0), second.terms.sum(axis=0)
    # The sums are added in another order each time.
    extreme = abs(first.value - second.value) - 1e-9 * first.scale
    hits = 0
    for swapped in _swaps(len(swap), samples, seed):
        moved = swapped @ swap
        hits += int((np.abs(first.figure(sums + moved) - first.figure(other - moved)) >= extreme).sum())
    exact = _is_enumerated(len(swap), samples)
    return hits / 2 ** len(swap) if exact else (1 + hits) / (1 + samples)


def mcnemar_p(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> float:
    """Exact two-sided p-value of McNemar's test on 0/1 values of the same units, by the binomial distribution."""
    from scipy.stats import binomtest  # heavy: only a comparison needs it

    gained = int(np.sum(np.asarray(first) > np.asarray(second)))
    lost = int(np.sum(np.asarray(first) < np.asarray(second)))
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for being several, in the same order (Holm, 1979)."""
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def _check_paired(first: Measure, second: Measure) -> None:
    if first.units != second.units or first.terms.shape != second.terms.shape:
        apart = sorted(set(first.units) ^ set(second.units))
        example = f"only one has {apart[0]!r}" if apart else "their order or their figure differs"
        raise ValueError(
            f"{first.name}: {len(first.units)} and {len(second.units)} units are not the same ones ({example}): "
            "evaluate both models on the same samples"
        )


def _is_binary(measure: Measure) -> bool:
    if measure.figure is not ratio or measure.terms.shape[1] != 2:
        return False
    return bool((measure.terms[:, 1] == 1).all() and np.isin(measure.terms[:, 0], (0, 1)).all())


def _is_enumerated(num_units: int, samples: int) -> bool:
    return num_units < 63 and 2**num_units <= samples


def _swaps(num_units: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Which units are swapped, float64 of shape (some, units): in every way, or in `samples` drawn ones."""
    if _is_enumerated(num_units, samples):
        yield ((np.arange(2**num_units)[:, None] >> np.arange(num_units)) & 1).astype(float)
        return
    random = np.random.default_rng(seed)
    for rows in chunks(samples, num_units):
        yield random.integers(0, 2, (rows.stop - rows.start, num_units), np.uint8).astype(float)

"""A figure with its interval, whatever function of sums over the samples it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from web2code.config import Interval

# What is better of a figure; of some, such as how often a model says yes, neither.
Direction = Literal["more", "less", "neither"]
# Values that are drawn and computed with at once: 32 MB.
CHUNK_VALUES = 2**22


@dataclass(frozen=True)
class Measure:
    """A figure of a benchmark, kept so that it can be computed again for any resampling of its units.

    Units are what is drawn in the bootstrap: samples, or groups of samples that are scored together (the two questions
    about a picture in MME, the rotations of a question in MMBench). Means, F1, balanced accuracy and totals over
    categories are all functions of sums over units, so that a thousand resamplings are one product of matrices.

    Args:
        units: their names; the same ones for every model, whatever failed.
        terms: what each unit adds, float64 of shape (units, columns).
        figure: from sums of shape (..., columns) to figures of shape (...).
        scale: the largest value, to print beside it: 1 for a share, 10 for points, 2000 for MME's perception.
        better: whether more or less of it is better.
        part: whether it is no main figure, but of a part of the benchmark, and called a score as well.
    """

    name: str
    units: tuple[str, ...]
    terms: np.ndarray
    figure: Callable[[np.ndarray], np.ndarray]
    scale: float = 1.0
    better: Direction = "more"
    part: bool = False

    @property
    def value(self) -> float:
        """The figure over all units; 0 where there is none."""
        return float(self.figure(self.terms.sum(axis=0))) if self.units else 0.0

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        """The figure for each resampling; `counts` (samples, units) says how often each unit was drawn."""
        sums = [counts[rows].astype(float) @ self.terms for rows in chunks(*counts.shape)]
        return self.figure(np.concatenate(sums))


def mean(
    name: str, units: Sequence[str], values: Sequence[float], scale: float = 1.0, better: Direction = "more"
) -> Measure:
    """The mean of one value for each unit."""
    terms = np.stack([np.asarray(values, float), np.ones(len(units))], axis=1)
    return Measure(name, tuple(units), terms, ratio, scale, better)


def parts(measures: Iterable[Measure]) -> tuple[Measure, ...]:
    """The same figures, as those of the benchmark's parts."""
    return tuple(replace(measure, part=True) for measure in measures)


def by_cluster(measure: Measure, clusters: Sequence[str]) -> Measure:
    """The same figure, with clusters of its units for units: what they share, they are not drawn without.

    Args:
        clusters: for each unit the name of its cluster.
    """
    places = {name: place for place, name in enumerate(dict.fromkeys(clusters))}
    terms = np.zeros((len(places), measure.terms.shape[1]))
    np.add.at(terms, [places[name] for name in clusters], measure.terms)
    return replace(measure, units=tuple(places), terms=terms)


def ratio(sums: np.ndarray) -> np.ndarray:
    """The first column over the second; 0 where the second is 0."""
    return np.divide(sums[..., 0], sums[..., 1], out=np.zeros(sums.shape[:-1]), where=sums[..., 1] != 0)


@lru_cache(maxsize=1)
def draws(num_units: int, samples: int, seed: int) -> np.ndarray:
    """How often each unit is drawn in each resampling: (samples, units), rows sum to the number of units.

    Kept for the next figure of the same benchmark: drawing takes longer than all else. It is uint8, an eighth of what
    is drawn: of more than 255 units none is ever drawn as often.
    """
    random = np.random.default_rng(seed)
    shares = np.full(num_units, 1 / num_units)
    counts = np.empty((samples, num_units), np.uint8)
    for rows in chunks(samples, num_units):
        counts[rows] = random.multinomial(num_units, shares, size=rows.stop - rows.start)
    counts.flags.writeable = False
    return counts


def chunks(num_rows: int, num_columns: int) -> Iterator[slice]:
    """Slices of rows, all of them in order, that hold no more than `CHUNK_VALUES` values each, or one row."""
    step = max(1, CHUNK_VALUES // num_columns)
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))


def interval(measure: Measure, samples: int, seed: int) -> Interval:
    """The figure with its 95 % percentile interval; the same seed gives the same interval."""
    if not measure.units:
        return Interval(mean=0.0, low=0.0, high=0.0)
    low, high = np.percentile(measure.resampled(draws(len(measure.units), samples, seed)), [2.5, 97.5])
    return Interval(mean=measure.value, low=float(low), high=float(high))

"""How far two ways of scoring the same pages agree, a judge and the computed scores for instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from web2code.config import GROUPS, Interval
from web2code.evaluation.benchmarks.benchmark import Verdict
from web2code.evaluation.results import Row

Scores = Mapping[str, Mapping[str, float]]
PIXELS = "overall, with similarity of pixels"


@dataclass(frozen=True)
class Agreement:
    """Correlations over `num` pages, with 95 % intervals over resampled pages."""

    num: int
    pearson: Interval
    spearman: Interval
    kendall: Interval


def scores_of(verdicts: Sequence[Verdict] | Sequence[Row]) -> dict[str, Mapping[str, float]]:
    """Scores by page, of the pages that have any."""
    return {verdict.id: verdict.values for verdict in verdicts if verdict.outcome == "scored"}


def agreement(first: Scores, second: Scores, names: Sequence[str], samples: int, seed: int) -> dict[str, Agreement]:
    """Agreement by name of a score, over the pages that both have: failures, 0 for both, would only feign agreement.

    A name is left out where one of the two gives every page the same score, or lacks it, or fewer than three pages are
    shared.
    """
    pages = sorted(first.keys() & second.keys())
    found = {}
    for name in names:
        if any(name not in scores[page] for scores in (first, second) for page in pages):
            continue
        one = np.array([first[page][name] for page in pages])
        other = np.array([second[page][name] for page in pages])
        if len(pages) >= 3 and _varies(one) and _varies(other):
            found[name] = correlations(one, other, samples, seed)
    return found


def agreement_with_computed(judged: Scores, computed: Scores, samples: int, seed: int) -> dict[str, Agreement]:
    """Agreement of a judge with the computed scores, by name.

    Of pages whose reference is a screenshot alone `similarity` is computed and nothing else: it stands beside the
    judge's overall.
    """
    pixels = {page: {PIXELS: scores["similarity"]} for page, scores in computed.items() if "similarity" in scores}
    overall = {page: {PIXELS: scores["overall"]} for page, scores in judged.items() if "overall" in scores}
    return agreement(judged, computed, GROUPS, samples, seed) | agreement(overall, pixels, (PIXELS,), samples, seed)


def correlations(first: np.ndarray, second: np.ndarray, samples: int, seed: int) -> Agreement:
    """Pearson's, Spearman's and Kendall's (tau b) coefficients of two arrays that are not constant, with intervals.

    Resamplings in which one of the two is constant have no correlation, and are left out.
    """
    drawn = np.random.default_rng(seed).integers(len(first), size=(samples, len(first)))
    kept = [rows for rows in drawn if _varies(first[rows]) and _varies(second[rows])]

    def with_interval(coefficient: Callable[[np.ndarray, np.ndarray], float]) -> Interval:
        low, high = np.percentile([coefficient(first[rows], second[rows]) for rows in kept], [2.5, 97.5])
        return Interval(mean=coefficient(first, second), low=float(low), high=float(high))

    return Agreement(len(first), with_interval(pearson), with_interval(spearman), with_interval(kendall))


def pearson(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's coefficient."""
    return float(np.corrcoef(first, second)[0, 1])


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's coefficient, of ranks that ties share."""
    return pearson(stats.rankdata(first), stats.rankdata(second))


def kendall(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau b."""
    return float(stats.kendalltau(first, second).statistic)


def _varies(values: np.ndarray) -> bool:
    return bool((values != values[0]).any())

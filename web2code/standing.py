"""How a candidate stands on benchmarks beside the champion, from the folders of their results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from web2code.config import BenchmarkResult, Interval
from web2code.evaluation.benchmarks.benchmark import Benchmark
from web2code.evaluation.comparison import compare
from web2code.evaluation.results import Figure, read_scores, show

COLUMNS = ("benchmark", "figure", "this model", "champion", "difference", "p", "samples", "without answer or score")


def standing(candidate: Path, champion: Path | None, benchmarks: Mapping[str, Benchmark]) -> dict[str, BenchmarkResult]:
    """By benchmark, the candidate's main figure and, where there is a champion, their paired comparison.

    Raises:
        ValueError: rows of a result are missing or damaged, or the two are of other files.
    """
    beside = _beside(candidate, champion, benchmarks) if champion else {}
    return {
        name: BenchmarkResult(
            title=scores.title, figure=scores.figures[0].name, scale=scores.figures[0].scale, num=scores.num,
            lost=scores.num - scores.outcomes.get("scored", 0), candidate=_interval(scores.figures[0]),
            **beside.get(name, {}),
        )
        for name, scores in read_scores(candidate).benchmarks.items()
    }  # fmt: skip


def cells(result: BenchmarkResult) -> tuple[str, ...]:
    """A result as texts, one for each of `COLUMNS`; a dash stands for a champion that there is none of."""
    found = (result.candidate, result.champion, result.difference)
    figures = [_with_ends(one, result.scale) if one else "–" for one in found]
    p = "–" if result.p is None else f"{result.p:.3f}"
    return result.title, result.figure, *figures, p, f"{result.num:,}", f"{result.lost:,}"


def _with_ends(found: Interval, scale: float) -> str:
    value, low, high = (show(value, scale) for value in (found.mean, found.low, found.high))
    return f"{value} ({low} to {high})"


def _beside(candidate: Path, champion: Path, benchmarks: Mapping[str, Benchmark]) -> dict[str, dict[str, Any]]:
    """By benchmark, what a result says of the champion."""
    of_champion = read_scores(champion).benchmarks
    return {
        row.benchmark: {
            "champion": _interval(of_champion[row.benchmark].figures[0]), "difference": row.difference,
            "better": row.better, "p": row.corrected, "verdict": row.verdict,
        }
        for row in compare(candidate, champion, benchmarks).rows
        if row.main
    }  # fmt: skip


def _interval(figure: Figure) -> Interval:
    assert figure.low is not None, figure
    assert figure.high is not None, figure
    return Interval(mean=figure.value, low=figure.low, high=figure.high)

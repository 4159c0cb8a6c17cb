"""How a candidate stands on benchmarks beside the champion, from the folders of their results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from web2code.config import BenchmarkResult, Interval, ScoreDifference
from web2code.evaluation.benchmarks.benchmark import Benchmark
from web2code.evaluation.comparison import Compared, compare
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
    rows = compare(candidate, champion, benchmarks).rows
    return {
        row.benchmark: {
            "champion": _interval(of_champion[row.benchmark].figures[0]), "difference": row.difference,
            "better": row.better, "p": row.corrected, "verdict": row.verdict,
            "scores": _scores(one for one in rows if one.benchmark == row.benchmark),
        }
        for row in rows
        if row.main
    }  # fmt: skip


def _scores(rows: Iterable[Compared]) -> dict[str, ScoreDifference]:
    """By figure, the main one and those of parts, where more or less of it is better."""
    return {
        row.figure: ScoreDifference(difference=row.difference, scale=row.scale, better=row.better, p=_one_sided(row))
        for row in rows
        if (row.main or row.part) and row.better != "neither"
    }


def _one_sided(row: Compared) -> float:
    """Of a two-sided p-value, the half on the side where the candidate falls behind."""
    gain = row.difference.mean if row.better == "more" else -row.difference.mean
    return row.p / 2 if gain < 0 else 1 - row.p / 2


def _interval(figure: Figure) -> Interval:
    assert figure.low is not None, figure
    assert figure.high is not None, figure
    return Interval(mean=figure.value, low=figure.low, high=figure.high)

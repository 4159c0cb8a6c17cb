"""Two models on the same samples: by how much they differ, and whether that may be chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from web2code.config import Config, Interval
from web2code.evaluation.benchmarks.benchmark import Benchmark
from web2code.evaluation.measure import Direction, Measure, interval
from web2code.evaluation.results import Scores, read_measures, read_scores, show
from web2code.evaluation.statistics import difference, holm, paired_p

ALPHA = 0.05

Verdict = Literal["better", "worse", "undecided", ""]


class Compared(Config):
    """One figure of both models. `corrected` is the p-value after Holm; `verdict` is that on the first model.

    `part` says that the figure is not the main one, but that of a part of the benchmark.
    """

    benchmark: str
    figure: str
    scale: float
    better: Direction
    main: bool
    part: bool = False
    num: int
    first: Interval
    second: Interval
    difference: Interval
    p: float
    corrected: float
    verdict: Verdict


class Comparison(Config):
    """Two models, and every figure that both have; differences are the first's less the second's."""

    first: str
    second: str
    rows: tuple[Compared, ...]
    notes: tuple[str, ...] = ()


def compare(
    first: Path, second: Path, benchmarks: Mapping[str, Benchmark], samples: int = 2000, seed: int = 0
) -> Comparison:
    """Compare the results in two folders, figure by figure, on the units that both were measured on.

    A verdict needs a p-value below 0.05 after Holm's correction: main figures are corrected among themselves, over the
    benchmarks, and all others within their benchmark, so that detail does not cost the main figures their power.

    Raises:
        ValueError: the folders have no benchmark in common, or judged other samples of one.
    """
    one, other = read_scores(first), read_scores(second)
    names = [name for name in one.benchmarks if name in other.benchmarks]
    if not names:
        raise ValueError(f"{first} and {second} have no benchmark in common: evaluate both models on the same")
    rows = []
    for name in names:
        if one.benchmarks[name].dataset != other.benchmarks[name].dataset:
            raise ValueError(f"{name}: the two models saw different files of it: evaluate both on the same")
        of_other = {measure.name: measure for measure in read_measures(second, other, name, benchmarks)}
        measures = [found for found in read_measures(first, one, name, benchmarks) if found.name in of_other]
        if not measures:
            raise ValueError(f"{name}: the two results have no figure in common, for other programs judged them")
        rows += [
            _compared(name, measure, of_other[measure.name], place == 0, samples, seed)
            for place, measure in enumerate(measures)
        ]
    return Comparison(first=one.model, second=other.model, rows=_corrected(rows), notes=_notes(one, other))


def markdown(comparison: Comparison) -> str:
    """The comparison as a table in Markdown."""
    head = ("benchmark", "figure", comparison.first, comparison.second, "difference", "p (Holm)", "verdict")
    lines = [head, ("---", "---", *["---:"] * 4, "---"), *(cells(row) for row in comparison.rows)]
    table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
    return "\n\n".join([table, *comparison.notes]) + "\n"


def cells(row: Compared) -> tuple[str, ...]:
    """A figure's row as texts: names, both values, difference, p-value, verdict."""
    signed = [("+" if value > 0 else "") + show(value, row.scale) for value in row.difference.model_dump().values()]
    return (
        row.benchmark,
        row.figure,
        _with_interval([show(value, row.scale) for value in row.first.model_dump().values()]),
        _with_interval([show(value, row.scale) for value in row.second.model_dump().values()]),
        _with_interval(signed),
        "<0.001" if row.corrected < 0.001 else f"{row.corrected:.3f}",
        row.verdict or "–",
    )


def _compared(name: str, first: Measure, second: Measure, main: bool, samples: int, seed: int) -> Compared:
    p = paired_p(first, second, 5 * samples, seed)
    return Compared(
        benchmark=name, figure=first.name, scale=first.scale, better=first.better, main=main, part=first.part,
        num=len(first.units),
        first=interval(first, samples, seed), second=interval(second, samples, seed),
        difference=difference(first, second, samples, seed), p=p, corrected=p, verdict="",
    )  # fmt: skip


def _corrected(rows: list[Compared]) -> tuple[Compared, ...]:
    """The rows with their p-values corrected within each family, and with their verdicts."""
    families: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if row.better != "neither":
            families["" if row.main else row.benchmark].append(place)
    corrected = {place: row.p for place, row in enumerate(rows)}
    for family in families.values():
        corrected |= dict(zip(family, holm([rows[place].p for place in family]), strict=True))
    return tuple(
        Compared(**dict(row) | {"corrected": corrected[place], "verdict": _verdict(row, corrected[place])})
        for place, row in enumerate(rows)
    )


def _verdict(row: Compared, p: float) -> Verdict:
    if row.better == "neither":
        return ""
    if p >= ALPHA:
        return "undecided"
    return "better" if (row.difference.mean > 0) == (row.better == "more") else "worse"


def _notes(one: Scores, other: Scores) -> tuple[str, ...]:
    notes = [
        f"They differ in {what}: {first or 'unknown'} and {second or 'unknown'}."
        for what, first, second in (
            ("engine", one.engine, other.engine),
            ("precision", one.precision, other.precision),
            ("what judged them", f"{one.evaluator} {one.code}".strip(), f"{other.evaluator} {other.code}".strip()),
        )
        if first != second
    ]
    return tuple(notes)


def _with_interval(texts: list[str]) -> str:
    value, low, high = texts
    return f"{value} ({low} to {high})"

"""Figures that many benchmarks have, from samples and their verdicts in the same order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from web2code.evaluation.benchmarks.benchmark import Outcome, Sample, Verdict
from web2code.evaluation.measure import Direction, Measure, mean
from web2code.evaluation.metrics.containment import long_truths

Judged = Sequence[tuple[Sample, Verdict]]


def judged(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> Judged:
    """Samples with their verdicts."""
    return list(zip(samples, verdicts, strict=True))


def average(name: str, pairs: Judged, key: str, better: Direction = "more") -> Measure:
    """The mean of one of the verdicts' values, 0 where a verdict has none."""
    return mean(name, units(pairs), [verdict.values.get(key, 0.0) for _, verdict in pairs], better=better)


def grouped(name: str, pairs: Judged, key: str, fact: str, rule: str = "") -> tuple[Measure, ...]:
    """`average` for each of the values that a fact has, in alphabetic order; the value stands between name and rule."""
    found = sorted({sample.facts[fact] for sample, _ in pairs})
    return tuple(average(f"{name}, {value}{rule}", select(pairs, fact, value), key) for value in found)


def select(pairs: Judged, fact: str, value: object) -> Judged:
    """The samples of which a fact has a value."""
    return [(sample, verdict) for sample, verdict in pairs if sample.facts[fact] == value]


def containment(pairs: Judged) -> tuple[Measure, ...]:
    """Containment of a true answer by our rule over all samples, then by the published one.

    The published one leaves out true answers of less than four characters, and samples that have no other.
    """
    kept = [(sample, verdict) for sample, verdict in pairs if long_truths(sample.facts["answers"])]
    published = (average("containment (published)", kept, "substring"),) if kept else ()
    return average("containment", pairs, "words"), *published


def outcomes(pairs: Judged) -> tuple[Measure, Measure]:
    """The shares of answers that say nothing in the asked form, and of those that are not there."""
    return (
        share("unparsed", pairs, "unparsed"),
        share("no answer", pairs, "no_answer"),
    )


def share(name: str, pairs: Judged, outcome: Outcome) -> Measure:
    """How often an outcome came that is no score."""
    return mean(name, units(pairs), [verdict.outcome == outcome for _, verdict in pairs], better="less")


def units(pairs: Judged) -> tuple[str, ...]:
    """The samples' names."""
    return tuple(sample.id for sample, _ in pairs)


def columns(rows: Sequence[Sequence[float]], width: int) -> np.ndarray:
    """Terms of a measure, of shape (units, width) also where there is no unit."""
    return np.asarray(rows, float).reshape(len(rows), width)

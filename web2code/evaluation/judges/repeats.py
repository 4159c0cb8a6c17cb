"""Several replies of a judge about the same answer: their means, and how far they are apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from web2code.endpoint_errors import Unanswered
from web2code.evaluation.benchmarks.benchmark import Verdict
from web2code.evaluation.measure import Measure, ratio

T = TypeVar("T")


def repeated(repeats: int, ask: Callable[[str], T]) -> list[T]:
    """What `ask` gives for the key of each repeat, without those that have no answer.

    Raises:
        Unanswered: none has one.
    """
    replies: list[T] = []
    missing = Unanswered("it was not asked")
    for number in range(repeats):
        try:
            replies.append(ask(f"repeat {number}"))
        except Unanswered as error:
            missing = error
    if not replies:
        raise missing
    return replies


def mean_of_replies(replies: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each value, the number of `replies`, and of two or more `sd NAME`, the standard deviation of each."""
    names = list(replies[0])
    rows = np.array([[reply[name] for name in names] for reply in replies])
    values = dict(zip(names, rows.mean(axis=0).tolist(), strict=True)) | {"replies": float(len(rows))}
    if len(rows) > 1:
        deviations = rows.std(axis=0, ddof=1).tolist()
        values |= {f"sd {name}": deviation for name, deviation in zip(names, deviations, strict=True)}
    return values


def spread(name: str, units: tuple[str, ...], verdicts: Sequence[Verdict], scale: float) -> Measure:
    """`sd NAME`: the standard deviation of one reply about the same answer, pooled over those with two or more."""
    values = [verdict.values.get(f"sd {name}") for verdict in verdicts]
    terms = [[0.0, 0.0] if value is None else [value**2, 1.0] for value in values]
    columns = np.array(terms).reshape(-1, 2)
    return Measure(f"sd {name}", units, columns, lambda sums: np.sqrt(ratio(sums)), scale, "neither")

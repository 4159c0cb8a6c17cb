"""The best constant answer: one page and one word for everything, chosen in hindsight."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from web2code.evaluation.screenshots import Screenshot


def constant_candidates(rows: Sequence[dict[str, Any]], num: int, seed: int) -> list[str]:
    """HTML of training pages that are tried as the constant answer."""
    return [row["html"] for row in Random(seed).sample(list(rows), min(num, len(rows)))]


def best_constant(candidates: Sequence[str], totals: Sequence[Sequence[float]]) -> str:
    """The candidate with the best total score on the held-out pages themselves.

    No system could choose so well in advance: the baseline is meant to be hard to beat.
    """
    sums = [sum(column) for column in zip(*totals, strict=True)]
    return candidates[sums.index(max(sums))]


def constant_answers(html: str, rows: Sequence[dict[str, Any]], screenshots: Sequence[Screenshot]) -> dict[str, str]:
    """The same page for every screenshot, and for every question the answer that is more often true."""
    truth = [item["answer"] for row in rows for item in row["questions"]]
    word = "Yes" if truth.count("Yes") * 2 >= len(truth) else "No"
    return (
        {f"page/{row['id']}": html for row in rows}
        | {f"screenshot/{shot.id}": html for shot in screenshots if not shot.problem}
        | {f"question/{row['id']}/{number}": word for row in rows for number, _ in enumerate(row["questions"])}
    )

"""Several judges of the same answers: their mean, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from web2code.evaluation.benchmarks.benchmark import Verdict
from web2code.evaluation.judges.agreement import Scores, spearman


@dataclass(frozen=True)
class PanelAgreement:
    """How far judges agree on one score: 1 fully, 0 as much as by chance."""

    spearman: float
    alpha: float


def joined(panel: Mapping[str, Verdict]) -> Verdict:
    """What several judges said of one answer, by judge: the mean of those that judged it; of one judge, its verdict.

    `judges` says how many judged it, and `JUDGE: NAME` what each of them said. An answer that is missing may be judged
    as an empty one: it stays a missing one, with the mean of what they said.
    """
    first, *others = panel.values()
    judged = {judge: verdict for judge, verdict in panel.items() if verdict.values}
    if not others or not judged:
        return first
    rows = [verdict.values for verdict in judged.values()]
    means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0] if all(name in row for row in rows)}
    each = {f"{judge}: {name}": value for judge, one in judged.items() for name, value in one.values.items()}
    outcome = next(iter(judged.values())).outcome
    return Verdict(first.id, outcome, means | {"judges": float(len(rows))} | each)


def panel_of(scores: Scores) -> Mapping[str, Scores]:
    """What each judge said, by judge and page, from what `joined` made of it; nothing where one judged alone."""
    panel: dict[str, dict[str, dict[str, float]]] = {}
    for page, values in scores.items():
        for key, value in values.items():
            judge, _, name = key.rpartition(": ")
            if judge:
                panel.setdefault(judge, {}).setdefault(page, {})[name] = value
    return panel


def panel_agreement(panel: Mapping[str, Scores], names: Sequence[str]) -> dict[str, PanelAgreement]:
    """By score, the mean of Spearman's coefficient over pairs of judges, and Krippendorff's alpha for intervals.

    A pair counts on the pages that both judged; nan where no pair has two pages that either tells apart.

    Args:
        panel: by judge, the scores of the pages that it judged.
    """
    pages = sorted({page for judge in panel.values() for page in judge})
    found = {}
    for name in names:
        table = np.array(
            [[judge[page][name] if page in judge else np.nan for page in pages] for judge in panel.values()]
        )
        found[name] = PanelAgreement(mean_spearman(table), krippendorff_alpha(table))
    return found


def mean_spearman(table: np.ndarray) -> float:
    """Mean over pairs of rows of (judges, pages), nan where a judge has no score."""
    coefficients = []
    for first, second in combinations(table, 2):
        shared = ~np.isnan(first) & ~np.isnan(second)
        one, other = first[shared], second[shared]
        if len(one) and np.ptp(one) and np.ptp(other):
            coefficients.append(spearman(one, other))
    return float(np.mean(coefficients)) if coefficients else float("nan")


def krippendorff_alpha(table: np.ndarray) -> float:
    """Krippendorff's alpha with squared differences (Computing Krippendorff's Alpha-Reliability, 2011).

    Args:
        table: (judges, pages), nan where a judge has no score; pages with fewer than two are left out.
    """
    columns = [column[~np.isnan(column)] for column in table.T]
    columns = [column for column in columns if len(column) > 1]
    values = np.concatenate(columns) if columns else np.array([])
    expected = _squared_differences(values) / (len(values) - 1) if len(values) else 0.0
    if not expected:
        return float("nan")
    return 1 - sum(_squared_differences(column) / (len(column) - 1) for column in columns) / expected


def _squared_differences(values: np.ndarray) -> float:
    """Sum over ordered pairs."""
    return float(2 * len(values) * ((values - values.mean()) ** 2).sum())

"""Several judges of the same pages: their mean, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from web2code.evaluation.benchmarks.benchmark import Verdict
from web2code.evaluation.judges.agreement import judge_scores, spearman
from web2code.evaluation.judges.wcgb import NAMES


@dataclass(frozen=True)
class PanelAgreement:
    """How far judges agree on one score: 1 fully, 0 as much as by chance."""

    spearman: float
    alpha: float


def ensemble(panel: Mapping[str, Sequence[Verdict]]) -> list[Verdict]:
    """The judges' mean for every page, of those that judged it; `judges` says how many did.

    Args:
        panel: by judge, the verdicts on the same pages in the same order.
    """
    return [_mean_verdict(verdicts) for verdicts in zip(*panel.values(), strict=True)]


def panel_agreement(panel: Mapping[str, Sequence[Verdict]], names: Sequence[str] = NAMES) -> dict[str, PanelAgreement]:
    """By score, the mean of Spearman's coefficient over pairs of judges, and Krippendorff's alpha for intervals.

    A pair counts on the pages that both judged; nan where no pair has two pages that either tells apart.
    """
    scores = [judge_scores(verdicts) for verdicts in panel.values()]
    pages = sorted({page for judge in scores for page in judge})
    found = {}
    for name in names:
        table = np.array([[judge[page][name] if page in judge else np.nan for page in pages] for judge in scores])
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


def _mean_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    scored = [verdict for verdict in verdicts if verdict.outcome == "scored"]
    if not scored:
        return verdicts[0]
    values = {name: sum(verdict.values[name] for verdict in scored) / len(scored) for name in NAMES}
    return Verdict(verdicts[0].id, "scored", values | {"judges": float(len(scored))})

"""Agreement of judges with each other and with computed scores."""

import numpy as np
import pytest

from web2code.evaluation.benchmarks.benchmark import Verdict
from web2code.evaluation.judges.agreement import agreement, correlations, scores_of
from web2code.evaluation.judges.ensemble import (
    joined,
    krippendorff_alpha,
    mean_spearman,
    panel_agreement,
    panel_of,
)
from web2code.evaluation.judges.wcgb import NAMES, measures, merged
from web2code.evaluation.visual import ASPECTS, score_groups

MISSING = float("nan")
# Krippendorff's own example, whose alpha for intervals he gives as 0.849.
TABLE = np.array([
    [1, 2, 3, 3, 2, 1, 4, 1, 2, MISSING, MISSING, MISSING],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, MISSING, 3],
    [MISSING, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, MISSING],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, MISSING],
])  # fmt: skip


def verdict(name, score, **aspects) -> Verdict:
    return Verdict(name, "scored", merged([dict.fromkeys(ASPECTS, float(score)) | aspects]))


def test_alpha_of_the_published_example():
    assert krippendorff_alpha(TABLE) == pytest.approx(0.849, abs=5e-4)


def test_alpha_is_one_for_equal_judges_and_about_zero_for_chance():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 11, 400).astype(float)
    assert krippendorff_alpha(np.stack([scores, scores])) == 1.0
    assert krippendorff_alpha(np.stack([scores, rng.permutation(scores)])) == pytest.approx(0, abs=0.1)
    assert np.isnan(krippendorff_alpha(np.full((2, 5), 3.0)))
    assert np.isnan(krippendorff_alpha(np.array([[1.0, MISSING], [MISSING, 2.0]])))


def test_mean_spearman_is_over_pairs_and_shared_pages():
    table = np.array([[1, 2, 3, 4.0], [2, 4, 6, 8], [4, 3, 2, MISSING]])
    assert mean_spearman(table) == pytest.approx((1 - 1 - 1) / 3)
    assert np.isnan(mean_spearman(table[:1]))


def test_a_panel_gives_the_mean_of_those_that_judged():
    nothing = Verdict("c", "unparsed", reason="no HTML")
    panel = {
        "one": [verdict("a", 4), verdict("b", 6), nothing],
        "other": [verdict("a", 8, interface=4.0), Verdict("b", "unjudged"), nothing],
    }
    together = [joined({"one": one, "other": other}) for one, other in zip(*panel.values(), strict=True)]
    first, second, third = together
    assert (first.values["text"], first.values["uii"], first.values["judges"]) == (6.0, 4.0, 2.0)
    assert (second.outcome, second.values["overall"], second.values["judges"]) == ("scored", 6.0, 1.0)
    assert third == nothing
    assert {measure.name: measure.value for measure in measures(together)}["text"] == pytest.approx(12 / 3)
    assert panel_of(scores_of(together)) == {judge: scores_of(verdicts) for judge, verdicts in panel.items()}
    alone = verdict("a", 4)
    assert joined({"one": alone}) == alone
    assert panel_of(scores_of([alone])) == {}


def test_a_panel_judges_a_missing_answer_together():
    said = [Verdict("a", "no_answer", {"model": 1.0, "reference": reference}) for reference in (5.0, 9.0)]
    both = joined({"one": said[0], "other": said[1]})
    assert (both.outcome, both.values["reference"], both.values["judges"]) == ("no_answer", 7.0, 2.0)
    later = joined({"one": Verdict("a", "unjudged", reason="no reply"), "other": said[1]})
    assert (later.outcome, later.values["reference"], later.values["judges"]) == ("no_answer", 9.0, 1.0)
    assert joined(dict.fromkeys(("one", "other"), Verdict("a", "unjudged"))).outcome == "unjudged"


def test_agreement_of_a_panel_is_told_for_each_score():
    rng = np.random.default_rng(1)
    truth = rng.uniform(2, 8, 80)
    panel = {
        str(number): scores_of([verdict(str(page), score + rng.normal(0, 0.5)) for page, score in enumerate(truth)])
        for number in range(3)
    }
    found = panel_agreement(panel, NAMES)
    assert set(found) == set(NAMES)
    assert found["overall"].alpha == pytest.approx(3 / (3 + 0.25), abs=0.03)  # variances of the truth and of the noise
    assert 0.85 < found["overall"].spearman < 1


def test_coefficients_of_known_pairs():
    first = np.array([1.0, 2, 3, 4])
    found = correlations(first, np.array([1.0, 3, 2, 4]), 200, 0)
    assert (found.pearson.mean, found.spearman.mean, found.kendall.mean) == pytest.approx((0.8, 0.8, 2 / 3))
    curved = correlations(first, np.exp(first), 200, 0)
    assert (curved.spearman.mean, curved.kendall.mean) == pytest.approx((1, 1))
    assert curved.pearson.mean < 1
    tied = correlations(np.array([1.0, 1, 2, 3]), np.array([1.0, 2, 3, 4]), 200, 0)
    assert tied.kendall.mean == pytest.approx(5 / np.sqrt(5 * 6))


def test_intervals_hold_the_truth_and_repeat():
    rng = np.random.default_rng(3)
    first = rng.normal(size=300)
    second = 0.6 * first + 0.8 * rng.normal(size=300)
    found = correlations(first, second, 300, 0)
    for interval in (found.pearson, found.spearman, found.kendall):
        assert interval.low < interval.mean < interval.high
    assert found.pearson.low < 0.6 < found.pearson.high
    assert found.pearson.high - found.pearson.low == pytest.approx(2 * 1.96 * (1 - 0.36) / np.sqrt(300), rel=0.3)
    assert found == correlations(first, second, 300, 0)


def test_a_judge_is_compared_with_the_computed_scores_on_pages_that_both_scored():
    rng = np.random.default_rng(4)
    verdicts, computed = [], {}
    for number, score in enumerate(rng.uniform(1, 9, 50)):
        aspects = dict.fromkeys(ASPECTS, score) | {"numbers": 10.0}
        computed[str(number)] = score_groups(aspects) | aspects
        verdicts.append(verdict(str(number), score + rng.normal(0, 0.3)))
    verdicts[0] = Verdict("0", "unjudged")
    del computed["1"]
    found = agreement(scores_of(verdicts), computed, NAMES, 100, 0)
    assert found["layout"].num == 48
    assert found["layout"].spearman.mean > 0.95
    assert "numbers" not in found  # the computed one is the same everywhere
    assert found["overall"].kendall.low > 0.7


def test_no_shared_page_has_no_agreement():
    assert agreement(scores_of([verdict("a", 3)]), {}, NAMES, 100, 0) == {}

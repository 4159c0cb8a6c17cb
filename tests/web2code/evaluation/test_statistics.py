"""Paired intervals and tests, against scipy and against what they promise."""

import numpy as np
import pytest
from scipy import stats

from web2code.evaluation.measure import Measure, by_cluster, mean
from web2code.evaluation.statistics import difference, holm, mcnemar_p, paired_p, permutation_p


def measured(values):
    return mean("score", [str(number) for number in range(len(values))], values, 10)


def f1(terms):
    def figure(sums):
        return 2 * sums[..., 0] / np.maximum(2 * sums[..., 0] + sums[..., 1], 1)

    return Measure("f1", tuple(str(number) for number in range(len(terms))), np.asarray(terms, float), figure)


def twins(seed, num, gain=0.0):
    """Scores of two models: pages differ much in difficulty, the models little."""
    random = np.random.default_rng(seed)
    difficulty = random.normal(5, 3, num)
    return [measured(difficulty + shift + random.normal(0, 0.5, num)) for shift in (gain, 0.0)]


def test_pairing_takes_out_what_both_find_hard():
    first, second = twins(0, 200, gain=0.3)
    found = difference(first, second, 1000, seed=0)
    paired = np.asarray(first.terms[:, 0] - second.terms[:, 0])
    assert found.mean == pytest.approx(paired.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * paired.std() / 200**0.5, rel=0.1)
    assert found == difference(first, second, 1000, seed=0)
    assert found != difference(first, second, 1000, seed=1)


def test_the_interval_holds_the_true_difference_as_often_as_it_says():
    held = 0
    for seed in range(300):
        found = difference(*twins(seed, 60, gain=0.2), 300, seed=1000 + seed)
        held += found.low <= 0.2 <= found.high
    assert 0.90 <= held / 300 <= 0.98


def test_where_nothing_differs_p_values_are_uniform():
    values = [permutation_p(*twins(seed, 20), 200, seed=1000 + seed) for seed in range(300)]
    assert stats.kstest(values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("num", [8, 40])
def test_swapping_agrees_with_scipy_on_a_mean(num):
    first, second = twins(3, num, gain=0.25)
    paired = first.terms[:, 0] - second.terms[:, 0]
    theirs = stats.permutation_test(
        (paired,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", vectorized=True, n_resamples=20_000,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    ours = permutation_p(first, second, 20_000, seed=0)
    assert 0.001 < theirs.pvalue < 0.9
    assert ours == pytest.approx(theirs.pvalue, abs=1e-12 if num == 8 else 0.01)


def test_swapping_agrees_with_scipy_on_a_figure_that_is_no_mean():
    random = np.random.default_rng(1)
    one, other = (f1(random.binomial(1, share, (9, 2))) for share in (0.7, 0.4))

    # Scipy swaps columns one by one; coupled columns are indices of rows.
    rows = np.stack([one.terms, other.terms])
    index = np.arange(9)

    def by_index(first, second, axis):
        chosen = [rows.reshape(18, 2)[x.astype(int)] for x in (first, second)]
        return one.figure(chosen[0].sum(axis=-2)) - one.figure(chosen[1].sum(axis=-2))

    theirs = stats.permutation_test((index, index + 9), by_index, permutation_type="samples", vectorized=True)
    assert permutation_p(one, other, 1000, seed=0) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_mcnemar_is_the_binomial_test_of_the_answers_that_changed():
    first, second = [1] * 9 + [0] * 2 + [1] * 30, [0] * 9 + [1] * 2 + [1] * 30
    assert mcnemar_p(first, second) == stats.binomtest(9, 11).pvalue == mcnemar_p(second, first)
    assert mcnemar_p(first, first) == 1
    assert paired_p(measured(first), measured(second), 100, seed=0) == mcnemar_p(first, second)
    # The same test by swapping, as the theory says.
    assert permutation_p(measured(first), measured(second), 5000, seed=0) == pytest.approx(mcnemar_p(first, second))


def test_holm_by_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_coarse_drawing_never_says_that_chance_is_impossible():
    first, second = twins(0, 100, gain=5.0)
    assert permutation_p(first, second, 99, seed=0) == 0.01


def test_models_on_other_samples_are_not_compared():
    first = mean("accuracy", ["a", "b"], [1, 0])
    with pytest.raises(ValueError, match=r"accuracy: 2 and 1 units are not the same ones \(only one has 'b'\)"):
        difference(first, mean("accuracy", ["a"], [1]), 100, seed=0)
    with pytest.raises(ValueError, match="their order"):
        paired_p(first, mean("accuracy", ["b", "a"], [1, 0]), 100, seed=0)


def test_no_unit_says_nothing():
    none = mean("accuracy", [], [])
    assert difference(none, none, 100, seed=0).high == 0
    assert paired_p(none, none, 100, seed=0) == 1


def test_questions_about_one_screenshot_are_swapped_together():
    """One model is right on 12 screenshots of 20, the other on 8, five questions each: no more than chance."""
    right = [np.repeat(np.arange(20) < number, 5).astype(float) for number in (12, 8)]
    names = [f"{number}/{question}" for number in range(20) for question in range(5)]
    single = [mean("accuracy", names, values) for values in right]
    clustered = [by_cluster(one, [name.partition("/")[0] for name in names]) for one in single]
    assert paired_p(*single, 10_000, seed=0) < 0.001
    assert paired_p(*clustered, 10_000, seed=0) == pytest.approx(2 / 2**4)

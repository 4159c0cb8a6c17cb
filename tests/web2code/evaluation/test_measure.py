"""Figures and their intervals."""

import tracemalloc

import numpy as np
import pytest

from web2code.evaluation.measure import Measure, by_cluster, draws, interval, mean


def test_a_mean_and_its_interval() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    measure = mean("score", [str(number) for number in range(400)], values, 10)
    found = interval(measure, 2000, seed=1)
    half = 1.96 * values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.mean == pytest.approx(half, rel=0.1)
    assert found.mean - found.low == pytest.approx(half, rel=0.1)
    assert found == interval(measure, 2000, seed=1)


def test_a_figure_that_is_no_mean() -> None:
    def f1(sums: np.ndarray) -> np.ndarray:
        hits, wrong = sums[..., 0], sums[..., 1]
        return 2 * hits / (2 * hits + wrong)

    measure = Measure("f1", ("a", "b", "c", "d"), np.array([[1, 0], [1, 0], [0, 1], [1, 0]], float), f1)
    assert measure.value == pytest.approx(6 / 7)
    assert 0 < interval(measure, 500, seed=0).low < measure.value <= interval(measure, 500, seed=0).high == 1


def test_many_units_are_drawn_little_by_little_and_as_at_once() -> None:
    """As float64 all draws would be 80 MB, twice."""
    measure = mean("accuracy", [str(number) for number in range(5000)], np.arange(5000) % 2)
    draws.cache_clear()
    tracemalloc.start()
    found = interval(measure, 2000, seed=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 * 1024**2
    counts = np.random.default_rng(3).multinomial(5000, np.full(5000, 1 / 5000), size=2000)
    assert (draws(5000, 2000, 3) == counts).all()
    low, high = np.percentile(counts @ measure.terms[:, 0] / 5000, [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


def test_no_unit_scores_nothing() -> None:
    assert interval(mean("score", [], []), 100, seed=0).mean == 0


def test_clusters_are_drawn_whole() -> None:
    """Five answers that are always alike say as much as one."""
    screenshots = np.random.default_rng(0).integers(0, 2, 200)
    questions = np.repeat(screenshots, 5)
    clusters = [str(number) for number in range(200) for _ in range(5)]
    single = mean("accuracy", [str(number) for number in range(1000)], questions)
    clustered = by_cluster(single, clusters)
    assert clustered.units == tuple(str(number) for number in range(200))
    assert clustered.value == single.value
    narrow, wide = interval(single, 2000, seed=0), interval(clustered, 2000, seed=0)
    assert wide.high - wide.low == pytest.approx(5**0.5 * (narrow.high - narrow.low), rel=0.15)

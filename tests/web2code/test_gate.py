import re

import pytest

from web2code.config import EvaluationRecord, GateConfig, Interval, SystemResult, Understanding, Visual
from web2code.gate import decide

UNDERSTANDING = Understanding(
    accuracy=0.5, num=10, unparsed=0, interval=Interval(mean=0.5, low=0.4, high=0.6), balanced_accuracy=0.5,
    yes_ratio=0.5, majority=0.5,
)  # fmt: skip


def system(overall, failed=0, **groups):
    scores = dict.fromkeys(("vsa", "cad", "tcc", "uii"), overall) | groups
    intervals = {
        name: Interval(mean=x, low=x - 0.2, high=x + 0.2) for name, x in {"overall": overall, **scores}.items()
    }
    visual = Visual(overall=overall, **scores, num=100, render_failed=failed, intervals=intervals)
    return SystemResult(wub=UNDERSTANDING, wcgb_visual=visual)


def decision(uncertainty=0.05, **systems):
    systems = {"untrained": system(0.5), "constant_page": system(3.0), **systems}
    gains = {
        name: systems["candidate"].wcgb_visual.overall - other.wcgb_visual.overall
        for name, other in systems.items()
        if name != "candidate"
    }
    record = EvaluationRecord(
        fingerprint="f", dataset_version="v", evaluator="e", systems=systems,
        differences={
            name: Interval(mean=gain, low=gain - uncertainty, high=gain + uncertainty) for name, gain in gains.items()
        },
    )  # fmt: skip
    return decide(record, GateConfig(margin=0.1, max_render_failed=0.1))


def test_a_clear_winner_is_promoted_with_its_figures():
    verdict = decision(candidate=system(4.0))
    assert verdict.promoted
    assert "4.00" in verdict.reason


@pytest.mark.parametrize(
    ("systems", "words"),
    [
        ({"candidate": system(3.3)}, "does not beat the best constant page clearly"),
        ({"candidate": system(5.0, failed=11)}, "11% of its pages do not render"),
        ({"candidate": system(5.0), "champion": system(5.0)}, "not clearly better than the champion: .* page by page"),
        ({"candidate": system(5.5, tcc=4.8), "champion": system(5.0)}, "falls behind the champion.* in tcc"),
    ],
)
def test_each_reason_to_refuse_is_said(systems, words):
    verdict = decision(**systems)
    assert not verdict.promoted
    assert re.search(words, verdict.reason)


def test_a_better_model_replaces_the_champion():
    assert decision(candidate=system(5.2), champion=system(5.0)).promoted
    assert decision(candidate=system(5.2, tcc=4.95), champion=system(5.0)).promoted


def test_a_gain_that_may_be_chance_does_not_replace_the_champion():
    assert not decision(candidate=system(5.2), champion=system(5.0), uncertainty=0.3).promoted

import re

import pytest

from web2code.config import (
    GROUPS,
    BenchmarkResult,
    BenchmarksRecord,
    EvaluationRecord,
    GateConfig,
    Interval,
    ScoreDifference,
    SystemResult,
    Understanding,
    Visual,
)
from web2code.gate import decide


def around(mean, uncertainty):
    return Interval(mean=mean, low=mean - uncertainty, high=mean + uncertainty)


def system(overall, failed=0, accuracy=0.5, **groups):
    scores = dict.fromkeys(GROUPS[1:], overall) | groups
    intervals = {name: around(value, 0.2) for name, value in {"overall": overall, **scores}.items()}
    visual = Visual(overall=overall, **scores, num=100, render_failed=failed, intervals=intervals)
    understanding = Understanding(
        accuracy=accuracy, num=10, unparsed=0, interval=around(accuracy, 0.1), balanced_accuracy=0.5, yes_ratio=0.5,
        majority=0.5,
    )  # fmt: skip
    return SystemResult(wub=understanding, wcgb_visual=visual)


def evaluated(uncertainty=0.05, screenshots=None, **systems):
    systems = {"untrained": system(0.5), "constant_page": system(3.0), **systems}
    candidate = systems["candidate"]
    others = {name: other for name, other in systems.items() if name != "candidate"}

    def against(figure, scale=1.0):
        gains = {name: figure(candidate) - figure(other) for name, other in others.items()}
        return {name: around(gain, uncertainty * scale) for name, gain in gains.items()}

    return EvaluationRecord(
        fingerprint="f", dataset_version="v", evaluator="e", systems=systems,
        differences=against(lambda one: one.wcgb_visual.overall),
        group_differences={group: against(lambda one, group=group: getattr(one.wcgb_visual, group))
                           for group in GROUPS[1:]},
        understanding_differences=against(lambda one: one.wub.accuracy, 0.1),
        failure_differences=against(lambda one: one.wcgb_visual.render_failed / 100, 0.1),
        screenshot_differences={name: {"champion": found} for name, found in (screenshots or {}).items()},
    )  # fmt: skip


def decision(uncertainty=0.05, screenshots=None, **systems):
    gate = GateConfig(margin=0.1, understanding_margin=0.03, max_render_failed=0.1)
    return decide(evaluated(uncertainty, screenshots, **systems), gate)


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
        ({"candidate": system(5.5, tcc=4.8), "champion": system(5.0)}, r"falls behind the champion.* in tcc -0\.20"),
        ({"candidate": system(5.5, failed=3), "champion": system(5.0, failed=1)}, r"more of its pages fail.*\+2\.00"),
        ({"candidate": system(5.5, accuracy=0.46), "champion": system(5.0)}, r"in answers to questions: -4\.00"),
    ],
)
def test_each_reason_to_refuse_is_said(systems, words):
    verdict = decision(**systems)
    assert not verdict.promoted
    assert re.search(words, verdict.reason)


def test_a_better_model_replaces_the_champion():
    assert decision(candidate=system(5.2), champion=system(5.0)).promoted
    assert decision(candidate=system(5.2, tcc=4.96), champion=system(5.0)).promoted
    assert decision(candidate=system(5.2, accuracy=0.48), champion=system(5.0)).promoted
    assert decision(candidate=system(5.2), champion=system(5.0, failed=9)).promoted


def test_one_more_page_that_fails_blocks_though_that_may_be_chance():
    verdict = decision(candidate=system(5.5, failed=1), champion=system(5.0), uncertainty=0.2)
    assert not verdict.promoted
    assert "more of its pages fail than of the champion's: +1.00 (-1.00 to +3.00) in a hundred" in verdict.reason


@pytest.mark.parametrize(
    ("similarity", "failed", "words"),
    [
        (around(-0.3, 0.1), around(0.0, 0.0), r"in likeness to real screenshots -0\.30"),
        (around(0.3, 0.1), around(0.25, 0.4), r"more of its real screenshots fail.*\+25\.00"),
        (around(-0.02, 0.05), around(-0.25, 0.4), ""),
    ],
)
def test_real_screenshots_count_where_there_are_some(similarity, failed, words):
    shots = {"similarity": similarity, "failed": failed}
    verdict = decision(screenshots=shots, candidate=system(5.5), champion=system(5.0))
    assert verdict.promoted == (not words)
    assert re.search(words, verdict.reason)


def test_a_gain_that_may_be_chance_does_not_replace_the_champion():
    assert not decision(candidate=system(5.2), champion=system(5.0), uncertainty=0.3).promoted


def test_a_group_that_may_have_fallen_by_more_than_the_margin_blocks_whatever_its_mean():
    systems = {"candidate": system(5.9, tcc=5.02), "champion": system(5.0)}
    assert decision(**systems, uncertainty=0.1).promoted
    verdict = decision(**systems, uncertainty=0.15)
    assert not verdict.promoted
    assert "in tcc +0.02 (-0.13 to +0.17) page by page" in verdict.reason


def test_a_record_of_before_differences_by_group_loads_and_is_asked_for_again():
    record = evaluated(candidate=system(5.2), champion=system(5.0)).model_dump()
    old = {key: value for key, value in record.items() if not key.endswith("_differences")}
    with pytest.raises(ValueError, match="evaluate the candidate again"):
        decide(EvaluationRecord.model_validate(old), GateConfig())
    first = {name: found for name, found in old["systems"].items() if name != "champion"}
    assert decide(EvaluationRecord.model_validate(old | {"systems": first}), GateConfig()).promoted


def beside_champion(difference=None, better="more", scale=1.0, p=0.5, figure="F1"):
    """The verdict on a candidate that is better on pages, and differs so from the champion in a benchmark's score."""
    half = around(0.5, 0.02)
    found = ScoreDifference(difference=difference, better=better, scale=scale, p=p) if difference else None
    result = BenchmarkResult(
        title="POPE", figure="F1", scale=1, num=900, lost=0, candidate=half, scores={figure: found} if found else {}
    )
    record = evaluated(candidate=system(5.5), champion=system(5.0))
    asked = BenchmarksRecord(fingerprint="b", candidate="one", results={"pope": result})
    return decide(record, GateConfig(margin=0.1, understanding_margin=0.03, benchmark_margin=0.02), asked)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"difference": around(-0.08, 0.03), "p": 0.001}, r"pope \(F1\) -8\.00 \(-11\.00 to -5\.00\)"),
        ({"difference": around(-0.005, 0.006), "p": 0.04}, r"pope \(F1\) -0\.50 .*, p = 0\.04"),
        ({"difference": around(-0.2, 0.1), "p": 0.001, "figure": "F1, random"}, r"pope \(F1, random\) -20\.00"),
        ({"difference": around(0.01, 0.04)}, r"may do so by more than 2 in a hundred.* \+1\.00 \(-3\.00 to \+5\.00\)"),
        ({"difference": around(-60.0, 10.0), "scale": 2000.0}, r"-3\.00 \(-3\.50 to -2\.50\)"),
        ({"difference": around(0.05, 0.01), "better": "less"}, r"-5\.00 \(-6\.00 to -4\.00\)"),
    ],
)  # fmt: skip
def test_a_candidate_that_forgot_what_a_benchmark_asks_is_not_promoted(found, words):
    verdict = beside_champion(**found)
    assert not verdict.promoted
    assert re.search(words, verdict.reason)


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"difference": around(0.0, 0.0)},
        {"difference": around(-0.005, 0.01)},
        {"difference": around(-20.0, 10.0), "scale": 2000.0},
        {"difference": around(-0.05, 0.01), "better": "less", "p": 0.999},
        {"difference": around(-0.03, 0.04), "figure": "F1, random", "p": 0.07},
    ],
)
def test_within_the_margin_benchmarks_are_no_reason_to_refuse(found):
    assert beside_champion(**found).promoted

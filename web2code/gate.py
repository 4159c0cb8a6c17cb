"""The gate: whether a candidate becomes champion."""

from __future__ import annotations

from web2code.config import BenchmarksRecord, Decision, EvaluationRecord, GateConfig, Interval, ScoreDifference, Visual

# A smaller p-value is harm: of a candidate as good as the champion, one score in twenty has one.
HARM = 0.05
BASELINES = {"untrained": "the untrained model", "constant_page": "the best constant page"}


def decide(record: EvaluationRecord, gate: GateConfig, benchmarks: BenchmarksRecord | None = None) -> Decision:
    """Promote a candidate that renders, beats both baselines clearly, and the champion without being worse anywhere.

    Clearly better than a baseline: 95 % intervals of the overall visual score that do not overlap. Against the champion
    every difference is taken page by page, because models that are much alike differ by less than their scores are
    uncertain: the overall score's interval lies above zero, that of no group, of no kind of question and of no real
    screenshots' likeness reaches below the margin, and of neither pages nor screenshots a single one more fails. Where
    benchmarks were asked, that of no main figure reaches below its margin either, and neither a main figure nor that of
    a benchmark's part is worse by more than chance.

    Raises:
        ValueError: the record is of a version that did not compare page by page.
    """
    scores = {name: system.wcgb_visual for name, system in record.systems.items()}
    candidate = scores["candidate"]
    failed = candidate.render_failed / candidate.num
    if failed > gate.max_render_failed:
        return _blocked(f"{failed:.0%} of its pages do not render (at most {gate.max_render_failed:.0%} are allowed)")
    for name, description in BASELINES.items():
        if candidate.intervals["overall"].low <= scores[name].intervals["overall"].high:
            return _blocked(f"it does not beat {description} clearly: {_against(candidate, scores[name])}")
    if "champion" not in scores:
        against = "; ".join(f"{description} has {scores[name].overall:.2f}" for name, description in BASELINES.items())
        return Decision(promoted=True, reason=f"Promoted: {_score(candidate)} overall beats both baselines: {against}.")
    figures = _against(candidate, scores["champion"])
    if worse := _worse_than_champion(record, gate) or _worse_on_benchmarks(benchmarks, gate):
        return _blocked(worse)
    gain = record.differences["champion"]
    if gain.low <= 0:
        return _blocked(f"it is not clearly better than the champion: {figures}, {_difference(gain)} page by page")
    return Decision(
        promoted=True, reason=f"Promoted: it beats the champion, {figures}, {_difference(gain)} page by page."
    )


def _worse_than_champion(record: EvaluationRecord, gate: GateConfig) -> str:
    """Where the candidate is, or may be by more than the margin, worse than the champion; empty where nowhere."""
    if not record.group_differences:
        raise ValueError(f"evaluation {record.fingerprint} has no differences by group: evaluate the candidate again")
    shots = {figure: found["champion"] for figure, found in record.screenshot_differences.items()}
    rises = {"pages": record.failure_differences["champion"], "real screenshots": shots.get("failed")}
    for what, rise in rises.items():
        if rise and rise.mean > 0:
            return f"more of its {what} fail than of the champion's: {_difference(rise, 100)} in a hundred, one by one"
    groups = {group: found["champion"] for group, found in record.group_differences.items()}
    groups |= {"likeness to real screenshots": shots["similarity"]} if shots else {}
    behind = {group: found for group, found in groups.items() if found.low <= -gate.margin}
    if behind:
        named = ", ".join(f"{group} {_difference(found)}" for group, found in behind.items())
        return f"it falls behind the champion, or may do so by more than {gate.margin:g}, in {named} page by page"
    answers = record.understanding_differences["champion"]
    if answers.low <= -gate.understanding_margin:
        return (
            f"it falls behind the champion, or may do so by more than {100 * gate.understanding_margin:g} in a "
            f"hundred, in answers to questions: {_difference(answers, 100)} page by page"
        )
    return ""


def _worse_on_benchmarks(benchmarks: BenchmarksRecord | None, gate: GateConfig) -> str:
    """In which scores the candidate is worse, or in a main one may be by more than the margin; empty where in none."""
    behind = [
        f"{name} ({figure}) {_difference(_gain(score), 100)}, p = {score.p:.2g}"
        for name, result in (benchmarks.results if benchmarks else {}).items()
        for figure, score in result.scores.items()
        if score.p < HARM or (figure == result.figure and _gain(score).low < -gate.benchmark_margin)
    ]
    if not behind:
        return ""
    return (
        f"it falls behind the champion, or may do so by more than {100 * gate.benchmark_margin:g} in a hundred, on "
        f"benchmarks: {'; '.join(behind)}, sample by sample"
    )


def _gain(score: ScoreDifference) -> Interval:
    """By what share of its scale the candidate's score is better."""
    found = score.difference
    scale = score.scale if score.better == "more" else -score.scale
    low, high = sorted((found.low / scale, found.high / scale))
    return Interval(mean=found.mean / scale, low=low, high=high)


def _blocked(why: str) -> Decision:
    return Decision(promoted=False, reason=f"Not promoted: {why}.")


def _against(candidate: Visual, other: Visual) -> str:
    return f"{_score(candidate)} against {_score(other)} overall"


def _score(visual: Visual) -> str:
    interval = visual.intervals["overall"]
    return f"{visual.overall:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def _difference(found: Interval, scale: float = 1.0) -> str:
    return f"{scale * found.mean:+.2f} ({scale * found.low:+.2f} to {scale * found.high:+.2f})"

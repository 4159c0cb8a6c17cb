"""The gate: whether a candidate becomes champion."""

from __future__ import annotations

from web2code.config import GROUPS, Decision, EvaluationRecord, GateConfig, Visual

BASELINES = {"untrained": "the untrained model", "constant_page": "the best constant page"}


def decide(record: EvaluationRecord, gate: GateConfig) -> Decision:
    """Promote a candidate that renders, beats both baselines clearly, and falls behind the champion nowhere.

    Clearly better than a baseline: 95 % intervals of the overall visual score that do not overlap. Better than the
    champion: the 95 % interval of the difference, page by page, lies above zero; models that are much alike differ by
    less than their scores are uncertain.
    """
    scores = {name: system.wcgb_visual for name, system in record.systems.items()}
    candidate = scores["candidate"]
    failed = candidate.render_failed / candidate.num
    if failed > gate.max_render_failed:
        return _blocked(f"{failed:.0%} of its pages do not render (at most {gate.max_render_failed:.0%} are allowed)")
    for name, description in BASELINES.items():
        if candidate.intervals["overall"].low <= scores[name].intervals["overall"].high:
            return _blocked(f"it does not beat {description} clearly: {_against(candidate, scores[name])}")
    if "champion" in scores:
        champion = scores["champion"]
        behind = [group for group in GROUPS[1:] if getattr(candidate, group) < getattr(champion, group) - gate.margin]
        if behind:
            return _blocked(f"it falls behind the champion by more than {gate.margin:g} in {', '.join(behind)}")
        gain = record.differences["champion"]
        if gain.low <= 0:
            interval = f"{gain.mean:+.2f} ({gain.low:+.2f} to {gain.high:+.2f}) page by page"
            return _blocked(f"it is not clearly better than the champion: {_against(candidate, champion)}, {interval}")
        return Decision(promoted=True, reason=f"Promoted: it beats the champion, {_against(candidate, champion)}.")
    against = "; ".join(f"{description} has {scores[name].overall:.2f}" for name, description in BASELINES.items())
    return Decision(promoted=True, reason=f"Promoted: {_score(candidate)} overall beats both baselines: {against}.")


def _blocked(why: str) -> Decision:
    return Decision(promoted=False, reason=f"Not promoted: {why}.")


def _against(candidate: Visual, other: Visual) -> str:
    return f"{_score(candidate)} against {_score(other)} overall"


def _score(visual: Visual) -> str:
    interval = visual.intervals["overall"]
    return f"{visual.overall:.2f} ({interval.low:.2f} to {interval.high:.2f})"

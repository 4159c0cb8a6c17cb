"""From judged samples to a system's scores, and the files that explain them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from web2code.config import GROUPS, EvaluationConfig, EvaluationRecord, Interval, PixelResult, SystemResult, Visual
from web2code.evaluation.answers import extract_html
from web2code.evaluation.benchmarks.verdicts import spoken
from web2code.evaluation.measure import Measure, mean, ratio
from web2code.evaluation.screenshots import Screenshot
from web2code.evaluation.statistics import bootstrap_interval, difference, share_interval
from web2code.evaluation.understanding import parse_answer, score_understanding
from web2code.evaluation.visual import ASPECTS, score_groups


@dataclass(frozen=True)
class Judged:
    """What came of one answer: `outcome` is `rendered` or `failed`, and a failed one scores 0 everywhere."""

    id: str
    outcome: str
    reason: str
    html: str
    scores: dict[str, float]
    aspects: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class System:
    """All that one system answered, and what was judged of it: every page and every screenshot, in their order."""

    texts: dict[str, str]
    pages: list[Judged]
    screenshots: list[Judged] = field(default_factory=list)


def judged_systems(
    texts: Mapping[str, dict[str, str]],
    verdicts: Mapping[str, dict[str, Any]],
    rows: Sequence[dict[str, Any]],
    shots: Sequence[Screenshot],
) -> dict[str, System]:
    """All systems in a fixed order, from their answers by what was asked, and verdicts on their pages.

    Args:
        verdicts: by `sample_name`.
    """
    return {
        name: System(
            answers,
            [_judged_page(row["id"], answers, verdicts[sample_name(name, f"page/{row['id']}")]) for row in rows],
            [_judged_screenshot(name, shot, answers, verdicts) for shot in shots],
        )
        for name, answers in sorted(texts.items())
    }


def sample_name(system: str, asked: str) -> str:
    """Names a system's answer to a page (`page/ID`) or a real screenshot (`screenshot/ID`), and its picture."""
    kind, _, name = asked.partition("/")
    return f"{system}/{name}" if kind == "page" else f"{system}/screenshots/{name}"


def _judged_page(page: str, texts: dict[str, str], verdict: dict[str, Any]) -> Judged:
    aspects = {name: verdict["values"].get(name, 0.0) for name in ASPECTS}
    return _judged(page, texts[f"page/{page}"], verdict, score_groups(aspects), aspects)


def _judged_screenshot(
    name: str, shot: Screenshot, texts: dict[str, str], verdicts: Mapping[str, dict[str, Any]]
) -> Judged:
    if shot.problem:
        return Judged(shot.id, "failed", shot.problem, "", {"similarity": 0.0})
    verdict = verdicts[sample_name(name, f"screenshot/{shot.id}")]
    scores = {"similarity": verdict["values"].get("similarity", 0.0)}
    return _judged(shot.id, texts[f"screenshot/{shot.id}"], verdict, scores, {})


def _judged(
    name: str, text: str, verdict: dict[str, Any], scores: dict[str, float], aspects: dict[str, float]
) -> Judged:
    outcome = "rendered" if verdict["outcome"] == "scored" else "failed"
    return Judged(name, outcome, verdict["reason"], extract_html(text) or text, scores, aspects)


def evaluation_record(
    systems: dict[str, System], rows: Sequence[dict[str, Any]], config: EvaluationConfig, seed: int, **about: Any
) -> EvaluationRecord:
    """Scores of all systems with their intervals; `about` holds the record's other fields."""
    paired = {name: paired_measures(system, rows) for name, system in systems.items()}

    def against(figure: str) -> dict[str, Interval]:
        mine = paired["candidate"][figure]
        others = {name: measures[figure] for name, measures in paired.items() if name != "candidate"}
        return {name: difference(mine, other, config.bootstrap_samples, seed) for name, other in others.items()}

    return EvaluationRecord(
        systems={name: system_result(system, rows, config, seed) for name, system in systems.items()},
        screenshots={
            name: pixel_result(system.screenshots, config, seed)
            for name, system in systems.items()
            if system.screenshots
        },
        differences=against("overall"),
        group_differences={group: against(group) for group in GROUPS[1:]},
        understanding_differences=against("answers"),
        failure_differences=against("failed"),
        screenshot_differences={
            figure: against(f"screenshots {figure}")
            for figure in ("similarity", "failed")
            if systems["candidate"].screenshots
        },
        **about,
    )


def system_result(system: System, rows: Sequence[dict[str, Any]], config: EvaluationConfig, seed: int) -> SystemResult:
    """WUB and WCGB visual scores of a system; every page and every question counts."""
    questions = question_rows("", rows, system.texts)
    return SystemResult(
        wub=score_understanding(
            [row["gold"] for row in questions], [row["answer"] for row in questions], [row["id"] for row in questions],
            config.bootstrap_samples, seed,
        ),
        wcgb_visual=visual_result(system.pages, config, seed),
    )  # fmt: skip


def paired_measures(system: System, rows: Sequence[dict[str, Any]]) -> dict[str, Measure]:
    """In what systems are compared page by page: scores by group, shares of failed pages and of right answers.

    Questions about one page stand together: a page that is hard to see makes several of them hard.
    """
    pages = [page.id for page in system.pages]
    right = dict.fromkeys(pages, (0, 0))
    for question in question_rows("", rows, system.texts):
        hits, num = right[question["id"]]
        right[question["id"]] = hits + question["correct"], num + 1
    measures = {group: mean(group, pages, [page.scores[group] for page in system.pages], 10) for group in GROUPS}
    shots = [shot.id for shot in system.screenshots]
    similarity = [shot.scores["similarity"] for shot in system.screenshots]
    return measures | {
        "screenshots similarity": mean("similarity", shots, similarity, 10),
        "screenshots failed": mean("failed", shots, failures(system.screenshots)),
        "failed": mean("failed", pages, failures(system.pages)),
        "answers": Measure("answers", tuple(pages), np.array([*right.values()], float).reshape(-1, 2), ratio),
    }


def visual_result(judged: Sequence[Judged], config: EvaluationConfig, seed: int) -> Visual:
    """Means and intervals of the group scores over all pages, failed ones included at 0."""

    def over_pages(values: list[float]) -> Interval:
        return bootstrap_interval(values, config.bootstrap_samples, seed)

    intervals = {group: over_pages([page.scores[group] for page in judged]) for group in GROUPS}
    aspects = {name: over_pages([page.aspects[name] for page in judged]) for name in ASPECTS}
    return Visual(
        **{group: interval.mean for group, interval in intervals.items()},
        num=len(judged),
        render_failed=sum(failures(judged)),
        intervals=intervals,
        aspects={name: interval.mean for name, interval in aspects.items()},
        aspect_intervals=aspects,
        failed_share=share_interval(failures(judged)),
    )


def pixel_result(judged: Sequence[Judged], config: EvaluationConfig, seed: int) -> PixelResult:
    """Similarity to real screenshots over all of them."""
    values = [shot.scores["similarity"] for shot in judged]
    return PixelResult(
        num=len(judged),
        render_failed=sum(failures(judged)),
        similarity=bootstrap_interval(values, config.bootstrap_samples, seed),
        failed_share=share_interval(failures(judged)),
    )


def failures(judged: Sequence[Judged]) -> list[bool]:
    """Which answers failed."""
    return [one.outcome == "failed" for one in judged]


def question_rows(system: str, rows: Sequence[dict[str, Any]], answers: dict[str, str]) -> list[dict[str, Any]]:
    """Every question with its true answer and the system's."""
    found = []
    for row in rows:
        for number, item in enumerate(row["questions"]):
            answer = answers[f"question/{row['id']}/{number}"]
            outcome = parse_answer(spoken(answer))
            found.append({
                "system": system, "id": row["id"], "question": item["question"], "gold": item["answer"],
                "answer": answer, "outcome": outcome, "correct": outcome == item["answer"].lower(),
            })  # fmt: skip
    return found


def sample_rows(system: str, judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Every judged page as a flat row."""
    return [
        {
            "system": system, "id": page.id, "outcome": page.outcome, "reason": page.reason, "html": page.html,
            **page.scores, "aspects": page.aspects,
        }
        for page in judged
    ]  # fmt: skip


def write_samples(out: Path, systems: dict[str, System], rows: Sequence[dict[str, Any]]) -> None:
    """`samples.jsonl`, `questions.jsonl` and `screenshots.jsonl`: one line for each system and sample."""
    lines: dict[str, list[dict[str, Any]]] = {"samples": [], "questions": [], "screenshots": []}
    for name, system in systems.items():
        lines["samples"] += sample_rows(name, system.pages)
        lines["questions"] += question_rows(name, rows, system.texts)
        lines["screenshots"] += sample_rows(name, system.screenshots)
    for name, content in lines.items():
        (out / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))

"""From judged samples to a system's scores, and the files that explain them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from web2code.config import GROUPS, EvaluationConfig, PixelResult, SystemResult, Visual
from web2code.evaluation.judging import Judged
from web2code.evaluation.statistics import bootstrap_interval
from web2code.evaluation.understanding import parse_answer, score_understanding
from web2code.evaluation.visual import ASPECTS


def system_result(
    judged: Sequence[Judged],
    rows: Sequence[dict[str, Any]],
    answers: dict[str, str],
    config: EvaluationConfig,
    seed: int,
) -> SystemResult:
    """WUB and WCGB visual scores of a system; every page and every question counts."""
    questions = question_rows("", rows, answers)
    return SystemResult(
        wub=score_understanding(
            [row["gold"] for row in questions], [row["answer"] for row in questions], config.bootstrap_samples, seed
        ),
        wcgb_visual=visual_result(judged, config, seed),
    )


def visual_result(judged: Sequence[Judged], config: EvaluationConfig, seed: int) -> Visual:
    """Means and intervals of the group scores over all pages, failed ones included at 0."""
    intervals = {
        group: bootstrap_interval([page.scores[group] for page in judged], config.bootstrap_samples, seed)
        for group in GROUPS
    }
    return Visual(
        **{group: interval.mean for group, interval in intervals.items()},
        num=len(judged),
        render_failed=sum(page.outcome == "failed" for page in judged),
        intervals=intervals,
        aspects={name: sum(page.aspects[name] for page in judged) / len(judged) for name in ASPECTS},
    )


def pixel_result(judged: Sequence[Judged], config: EvaluationConfig, seed: int) -> PixelResult:
    """Similarity to real screenshots over all of them."""
    values = [shot.scores["similarity"] for shot in judged]
    return PixelResult(
        num=len(judged),
        render_failed=sum(shot.outcome == "failed" for shot in judged),
        similarity=bootstrap_interval(values, config.bootstrap_samples, seed),
    )


def question_rows(system: str, rows: Sequence[dict[str, Any]], answers: dict[str, str]) -> list[dict[str, Any]]:
    """Every question with its true answer and the system's."""
    found = []
    for row in rows:
        for number, item in enumerate(row["questions"]):
            answer = answers[f"question/{row['id']}/{number}"]
            outcome = parse_answer(answer)
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


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

"""What an evaluation's record says of the candidate against the others, page by page."""

import pytest

from web2code.config import GROUPS, EvaluationConfig
from web2code.evaluation.summary import Judged, System, evaluation_record
from web2code.evaluation.visual import ASPECTS

ROWS = [
    {"id": f"page{number}", "questions": [{"question": "?", "answer": "Yes"}] * (number % 3)} for number in range(30)
]


def system(score, tcc, failed=(), answer="yes"):
    pages, texts = [], {}
    for number, row in enumerate(ROWS):
        won = 0.0 if number in failed else score
        scores = dict.fromkeys(GROUPS, won) | {"tcc": 0.0 if number in failed else tcc}
        outcome = "failed" if number in failed else "rendered"
        pages.append(Judged(row["id"], outcome, "", "", scores, dict.fromkeys(ASPECTS, won)))
        texts |= {f"question/{row['id']}/{place}": answer for place in range(len(row["questions"]))}
    return System(texts, pages)


def test_differences_are_taken_page_by_page_for_every_group():
    systems = {"candidate": system(6.0, 4.0, failed=(0, 1, 2)), "champion": system(5.0, 5.0, answer="no")}
    record = evaluation_record(
        systems, ROWS, EvaluationConfig(bootstrap_samples=200), seed=0, fingerprint="f", dataset_version="v",
        evaluator="e",
    )  # fmt: skip
    assert record.differences["champion"].mean == pytest.approx(6.0 * 0.9 - 5.0)
    assert record.group_differences["tcc"]["champion"].mean == pytest.approx(4.0 * 0.9 - 5.0)
    assert set(record.group_differences) == set(GROUPS[1:])
    assert record.failure_differences["champion"].mean == pytest.approx(0.1)
    answers = record.understanding_differences["champion"]
    assert (answers.mean, answers.low, answers.high) == (1, 1, 1)
    assert "candidate" not in record.differences

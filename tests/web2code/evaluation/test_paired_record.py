"""What an evaluation's record says of the candidate against the others, page by page."""

import pytest

from web2code.config import GROUPS, EvaluationConfig
from web2code.evaluation.summary import Judged, System, evaluation_record
from web2code.evaluation.visual import ASPECTS

ROWS = [
    {"id": f"page{number}", "questions": [{"question": "?", "answer": "Yes"}] * (number % 3)} for number in range(30)
]


def system(score, tcc, failed=(), answer="yes", similarities=()):
    pages, texts = [], {}
    for number, row in enumerate(ROWS):
        won = 0.0 if number in failed else score
        scores = dict.fromkeys(GROUPS, won) | {"tcc": 0.0 if number in failed else tcc}
        outcome = "failed" if number in failed else "rendered"
        pages.append(Judged(row["id"], outcome, "", "", scores, dict.fromkeys(ASPECTS, won)))
        texts |= {f"question/{row['id']}/{place}": answer for place in range(len(row["questions"]))}
    shots = [
        Judged(f"shot{number}", "rendered" if value else "failed", "", "", {"similarity": value})
        for number, value in enumerate(similarities)
    ]
    return System(texts, pages, shots)


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
    assert record.screenshot_differences == {}


def test_every_figure_has_its_interval():
    rows = {"candidate": system(6.0, 4.0, failed=(0, 1, 2)), "untrained": system(1.0, 1.0)}
    record = evaluation_record(
        rows, ROWS, EvaluationConfig(bootstrap_samples=200), seed=0, fingerprint="f", dataset_version="v", evaluator="e"
    )
    visual = record.systems["candidate"].wcgb_visual
    assert visual.aspect_intervals.keys() == visual.aspects.keys() == set(ASPECTS)
    for name, found in visual.aspect_intervals.items():
        assert found.low < found.mean < found.high
        assert visual.aspects[name] == found.mean == pytest.approx(5.4)
    assert visual.failed_share.mean == visual.render_failed / visual.num == pytest.approx(0.1)
    # Wilson's interval of 3 in 30, and of none in 30.
    assert (visual.failed_share.low, visual.failed_share.high) == (
        pytest.approx(0.0346, abs=1e-4),
        pytest.approx(0.2562, abs=1e-4),
    )
    none = record.systems["untrained"].wcgb_visual.failed_share
    assert (none.mean, none.low, none.high) == (0, 0, pytest.approx(0.1135, abs=1e-4))


def test_real_screenshots_are_compared_one_by_one_where_there_are_some():
    systems = {
        "candidate": system(6.0, 4.0, similarities=(4.0, 5.0, 0.0, 7.0)),
        "champion": system(5.0, 5.0, similarities=(3.0, 4.0, 6.0, 6.0)),
    }
    record = evaluation_record(
        systems, ROWS, EvaluationConfig(bootstrap_samples=200), seed=0, fingerprint="f", dataset_version="v",
        evaluator="e",
    )  # fmt: skip
    found = record.screenshot_differences
    assert found["similarity"]["champion"].mean == pytest.approx(-0.75)
    assert found["failed"]["champion"].mean == pytest.approx(0.25)
    assert record.screenshots["candidate"].failed_share.mean == 0.25

import json

import pytest

from web2code.config import EvaluationConfig
from web2code.evaluation.journal import Journal
from web2code.evaluation.screenshots import Screenshot
from web2code.evaluation.writing import ANSWER_TOKENS, BATCH, asks, bundles

ROWS = [
    {"id": f"p{number}", "image": b"", "questions": [{"question": "Is it?", "answer": "Yes"}] * 2}
    for number in range(BATCH + 6)
]
SHOTS = [Screenshot("s", b"png"), Screenshot("bad", b"", "it cannot be decoded")]


def test_every_page_question_and_usable_screenshot_is_asked_about_once():
    todo = list(asks(ROWS, SHOTS, EvaluationConfig()))
    keys = [request.key for request in todo]
    assert len(set(keys)) == len(keys) == len(ROWS) * 3 + 1
    assert "screenshot/s" in keys


def test_a_bundle_holds_answers_of_one_length_and_bundles_are_the_same_each_time():
    todo = list(asks(ROWS, SHOTS, EvaluationConfig(max_new_tokens=320)))
    found = list(bundles(todo))
    assert [request for bundle in found for request in bundle] == todo
    assert {tuple({request.max_new_tokens for request in bundle}) for bundle in found} == {(320,), (ANSWER_TOKENS,)}
    assert max(map(len, found)) == BATCH
    assert list(bundles(todo)) == found


@pytest.mark.parametrize("tail", ["", '{"key": "c", "te', '{"key": "c", "text": "cut'])
def test_a_line_that_was_cut_off_is_removed_and_the_file_can_be_added_to(tmp_path, tail):
    path = tmp_path / "answers.jsonl"
    lines = [{"key": "a", "text": "1"}, {"key": "b", "text": "2\n</s>"}, {"key": "a", "text": "3"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)
    journal = Journal(path)
    assert {key: entry["text"] for key, entry in journal.entries.items()} == {"a": "3", "b": "2\n</s>"}
    journal.add("d", text="4")
    assert Journal(path)["d"]["text"] == "4"
    assert len(Journal(tmp_path / "none.jsonl")) == 0

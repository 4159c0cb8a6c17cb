"""ScienceQA by two models: complement, judge, and the published rules."""

import json

import pytest

from web2code.config import Endpoint
from web2code.endpoint import Client
from web2code.evaluation.judges.scienceqa_complement import Problem, choice, complement, differing, measures, requery


def problem(name, answer=0, num=3) -> Problem:
    return Problem(name, f"Question {name}?", tuple(f"choice {number}" for number in range(num)), answer)


def says(letter) -> str:
    return f"Because of this. The answer is {letter}."


def by_name(*arguments):
    return {measure.name: measure.value for measure in measures(*arguments)}


@pytest.mark.parametrize(("text", "expected"), [
    ("B", 1), (" B.", 1), ("B. a plant", 1), (says("B"), 1), ("The answer is B", 1), (says("B") + says("B"), 1),
    ("A. The answer is B.", 1), ("D", None), (says("D"), None), (says("A") + says("B"), None), ("Both", None),
    ("BC", None), ("", None), ("The answer is Bees.", None), ("b", None),
])  # fmt: skip
def test_the_choice_that_an_answer_names(text, expected):
    assert choice(text, 3) == expected


def test_the_complement_takes_the_model_only_where_the_text_model_has_none():
    assert (complement(0, None), complement(0, 1), complement(None, 1), complement(None, None)) == (0, 1, 1, None)


PROBLEMS = [problem(name) for name in "abcdef"]
MODEL = {"a": says("A"), "b": says("A"), "c": says("B"), "d": says("A"), "e": "no idea", "f": says("B")}
TEXT = {"a": says("A"), "b": says("B"), "c": says("A"), "d": "I cannot see it.", "e": says("A"), "f": says("B")}


def test_the_judge_is_asked_where_the_two_differ():
    assert [one.id for one in differing(PROBLEMS, MODEL, TEXT)] == ["b", "c", "d", "e"]


def test_accuracies_of_both_the_complement_the_judge_and_the_oracle():
    replies = {"b": says("A"), "c": says("B"), "d": "hard to say", "e": says("A")}
    found = by_name(PROBLEMS, MODEL, TEXT, replies)
    assert found["model"] == pytest.approx(3 / 6)
    assert found["text model"] == pytest.approx(3 / 6)
    assert found["complement"] == pytest.approx(4 / 6)  # a, c, d, e
    assert found["judge"] == pytest.approx(4 / 6)  # a, b, d (it stays the model's), e
    assert found["either"] == pytest.approx(5 / 6)
    assert found["not judged"] == pytest.approx(1 / 6)


def test_a_reply_about_a_problem_without_difference_changes_nothing():
    assert by_name(PROBLEMS, MODEL, TEXT, {"a": says("C")})["judge"] == by_name(PROBLEMS, MODEL, TEXT, {})["judge"]


def published(model, text_model, reply, num=3, answer=0):
    """What the published scripts give one problem, by their own random draws."""
    found = by_name([problem("x", answer, num)], {"x": model}, {"x": text_model}, {"x": reply} if reply else {})
    return {name.removesuffix(" (published)"): value for name, value in found.items() if name.endswith(")")}


def test_the_published_rules_draw_a_choice_where_none_is_stated():
    both = published("no idea", "no idea", "", num=4)
    assert both == pytest.approx({
        "judge": 1 / 4, "complement": 1 / 4, "model": 1 / 4, "text model": 1 / 4, "either": 1 - (3 / 4) ** 2,
    })  # fmt: skip
    assert published(says("A"), "no idea", "")["complement"] == 1.0
    assert published(says("B"), says("A"), says("A"))["judge"] == 1.0
    assert published(says("A"), says("B"), "")["judge"] == 1.0


def test_the_published_rules_complete_no_letter_that_is_out_of_range():
    found = published(says("A"), says("E"), says("E"))
    assert found["complement"] == found["judge"] == pytest.approx(1 / 3)


def test_the_published_rules_miss_an_answer_without_a_full_stop():
    assert published("The answer is A", says("B"), "")["model"] == pytest.approx(1 / 3)
    assert by_name([problem("x")], {"x": "The answer is A"}, {"x": says("B")}, {})["model"] == 1.0


def client(url, cache) -> Client:
    return Client("judge", Endpoint(url=url, retries=0), "m", 0.0, 512, cache, alike=True)


def asked(body):
    text = body["messages"][1]["content"][0]["text"]
    return json.loads(text[text.index("\n\n") :])


def test_the_judge_reads_both_answers_and_names_a_choice(chat, tmp_path):
    def answer(body):
        return {"Question b?": says("A"), "Question c?": "C", "Question d?": says("D")}.get(
            asked(body)["question"], "I do not know."
        )

    chat.reply = answer
    replies = requery(client(chat.url, tmp_path), PROBLEMS, MODEL, TEXT)
    assert replies == {"b": says("A"), "c": "C"}
    first = next(found for found in map(asked, chat.seen) if found["question"] == "Question b?")
    assert first["choices"] == {"A": "choice 0", "B": "choice 1", "C": "choice 2"}
    assert (first["student who saw the picture"], first["student who did not"]) == (says("A"), says("B"))
    assert len(chat.seen) == 2 + 2 * 3  # those that could not be read were asked for again


def test_a_judge_that_fails_leaves_the_models_answers(chat, tmp_path):
    chat.reply = 500
    replies = requery(client(chat.url, tmp_path), PROBLEMS, MODEL, TEXT)
    found = by_name(PROBLEMS, MODEL, TEXT, replies)
    assert replies == {}
    assert (found["judge"], found["not judged"]) == pytest.approx((3 / 6, 4 / 6))

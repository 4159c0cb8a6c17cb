"""ScienceQA by two models: complement, judge, and the published rules."""

import json
import string

import pytest

from web2code.config import Endpoint
from web2code.endpoint import Client
from web2code.evaluation.benchmarks.benchmark import Sample
from web2code.evaluation.benchmarks.scienceqa import SCIENCEQA
from web2code.evaluation.benchmarks.verdicts import LETTER
from web2code.evaluation.judges.scienceqa_ensemble import judge, measures, verdict


def sample(name, answer="A", num=3) -> Sample:
    options = {letter: f"choice {letter}" for letter in string.ascii_uppercase[:num]}
    return Sample(name, (), f"Question {name}?{LETTER}", 16, {"answer": answer, "options": options})


def says(letter) -> str:
    return f"Because of this. The answer is {letter}."


def by_name(samples, verdicts):
    return {measure.name: measure.value for measure in measures(samples, verdicts)}


@pytest.mark.parametrize("text", ["B", "(B)", "b", "B)", "The answer is (B).", "a leaf", "Answer: b", says("B")])
def test_answers_are_read_as_by_the_benchmark(text):
    one = Sample("x", (), "", 16, {"answer": "B", "options": {"A": "a rock", "B": "a leaf", "C": "a cloud"}})
    as_model, as_text_model = verdict(one, text, says("A"), "").values, verdict(one, says("A"), text, "").values
    assert SCIENCEQA.judge(one, text).values["correct"] == as_model["model"] == as_text_model["text model"] == 1
    assert as_model["model (published)"] == pytest.approx(1 if text == says("B") else 1 / 3)


SAMPLES = [sample(name) for name in "abcdef"]
MODEL = {"a": says("A"), "b": says("A"), "c": says("B"), "d": says("A"), "e": "no idea", "f": says("B")}
TEXT = {"a": says("A"), "b": says("B"), "c": says("A"), "d": "I cannot see it.", "e": says("A"), "f": says("B")}


def test_accuracies_of_both_the_complement_the_judge_and_the_oracle():
    again = {"b": says("A"), "c": says("B"), "d": "hard to say", "e": says("A")}
    found = by_name(SAMPLES, [verdict(one, MODEL[one.id], TEXT[one.id], again.get(one.id, "")) for one in SAMPLES])
    assert found["model"] == pytest.approx(3 / 6)
    assert found["text model"] == pytest.approx(3 / 6)
    assert found["complement"] == pytest.approx(4 / 6)  # a, c, d, e
    assert found["judge"] == pytest.approx(4 / 6)  # a, b, d (it stays the model's), e
    assert found["either"] == pytest.approx(5 / 6)
    assert found["not judged"] == pytest.approx(1 / 6)


def test_a_reply_about_a_question_without_difference_changes_nothing():
    values = [verdict(sample("x"), says("A"), says("A"), reply).values for reply in ("", says("C"))]
    assert values[0]["judge"] == values[1]["judge"] == 1.0


def published(model, text_model, reply, num=3):
    """What the published scripts give one question, by their own random draws."""
    values = verdict(sample("x", num=num), model, text_model, reply).values
    return {name.removesuffix(" (published)"): value for name, value in values.items() if name.endswith(")")}


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
    assert verdict(sample("x"), "The answer is A", says("B"), "").values["model"] == 1.0


def judged(chat, cache):
    client = Client("judge", Endpoint(url=chat.url, retries=0), "m", 0.0, 512, cache, alike=True)
    return [judge(client, one, MODEL[one.id]) for one in SAMPLES]


def text_of(body):
    return body["messages"][1]["content"][0]["text"]


def test_the_text_model_answers_and_where_the_two_differ_reads_both_answers(chat, tmp_path):
    def answer(body):
        text = text_of(body)
        name = text.partition("Question ")[2][0]
        if "Two students" not in text:
            return TEXT[name]
        return {"b": says("A"), "c": "C", "d": says("D")}.get(name, "I do not know.")

    chat.reply = answer
    verdicts = judged(chat, tmp_path)
    assert [one.values["judge"] for one in verdicts] == [1, 1, 0, 1, 0, 0]
    assert [one.values["not judged"] for one in verdicts] == [0, 0, 0, 1, 1, 0]
    own = [text_of(body) for body in chat.seen if "Two students" not in text_of(body)]
    assert len(own) == 6
    assert not any(LETTER in text or says("A") in text for text in own)
    both = next(text_of(body) for body in chat.seen if "Two students" in text_of(body))
    assert json.loads(both[both.index("\n\n") :])["student who saw the picture"] in MODEL.values()
    assert len(chat.seen) == 6 + 2 + 2 * 3  # those that could not be read were asked for again
    assert judged(chat, tmp_path) == verdicts
    assert len(chat.seen) == 6 + 2 + 2 * 3


def test_thoughts_of_neither_model_count(chat, tmp_path):
    def thoughtful(text):
        return f"<think>{says('C')}</think>\n\n{text}"

    chat.reply = lambda body: thoughtful(says("B") if "Two students" in text_of(body) else says("A"))
    client = Client("judge", Endpoint(url=chat.url, retries=0), "m", 0.0, 512, tmp_path)
    one = judge(client, sample("x", answer="B"), thoughtful(says("B")))
    assert not any("<think>" in text_of(body) for body in chat.seen)
    assert one.values["model"] == one.values["model (published)"] == one.values["judge (published)"] == 1
    assert (one.values["text model"], one.values["judge"]) == (0, 1)


def test_a_text_model_that_fails_leaves_the_models_answers(chat, tmp_path):
    client = Client("judge", Endpoint(url=chat.url, retries=0, concurrency=1), "m", 0.0, 512, tmp_path)
    chat.script = [500, says("A")]
    one = judge(client, SAMPLES[2], MODEL["c"])
    assert (one.values["complement"], one.values["judge"], one.values["not judged"]) == (0, 1, 1)


def test_a_text_model_that_is_asked_several_times_counts_in_the_mean(chat, tmp_path):
    client = Client("judge", Endpoint(url=chat.url, retries=0), "m", 0.0, 512, tmp_path)
    chat.script = [says("A"), says("B"), says("A"), says("C"), says("C"), *["no"] * 4]
    one = judge(client, SAMPLES[0], MODEL["a"], repeats=4)
    assert len(chat.seen) == 9
    assert (one.values["text model"], one.values["judge"], one.values["replies"]) == (0.25, 0.75, 4)
    assert one.values["not judged"] == 0.25
    assert by_name(SAMPLES[:1], [one])["sd judge"] == pytest.approx(0.5)
    assert "sd judge" not in by_name(SAMPLES[:1], [verdict(SAMPLES[0], MODEL["a"], TEXT["a"], "")])

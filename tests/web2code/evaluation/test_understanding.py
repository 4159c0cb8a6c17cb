import pytest

from web2code.evaluation.answers import extract_html
from web2code.evaluation.measure import mean
from web2code.evaluation.statistics import bootstrap_interval, difference
from web2code.evaluation.summary import question_rows
from web2code.evaluation.understanding import parse_answer, score_understanding


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("Yes", "yes"), ("no.", "no"), ("Yes, there is no footer", "yes"), ("NONE", "unparsed"),
        ("Not sure", "unparsed"), ("", "unparsed"), ("yesterday", "unparsed"), ("The answer is NO", "no"),
    ],
)  # fmt: skip
def test_only_a_whole_word_is_an_answer(text, parsed):
    assert parse_answer(text) == parsed


def test_thoughts_are_not_read():
    result = score_understanding(["Yes"], ["<think>No footer? There is one.</think>\nYes"], ["a"], samples=20, seed=0)
    assert result.accuracy == 1
    page = {"id": "a", "questions": [{"question": "A footer?", "answer": "Yes"}]}
    assert question_rows("", [page], {"question/a/0": "<think>No?</think>Yes"})[0]["correct"]


def test_unparsed_answers_count_as_wrong():
    result = score_understanding(
        ["Yes", "No", "No", "Yes"], ["yes", "no", "maybe", "no"], list("abcd"), samples=200, seed=0
    )
    assert (result.accuracy, result.num, result.unparsed) == (0.5, 4, 1)
    assert result.balanced_accuracy == 0.5
    assert result.yes_ratio == 0.25
    assert result.majority == 0.5
    assert result.interval.mean == 0.5
    for name, value in (("balanced_accuracy", 0.5), ("yes_ratio", 0.25), ("unparsed", 0.25)):
        found = result.intervals[name]
        assert found.low < found.mean == value < found.high


def test_questions_about_one_page_count_as_one_in_an_interval():
    gold, answers = ["Yes"] * 40, ["yes", "no"] * 20
    apart = score_understanding(gold, answers, [str(number) for number in range(40)], samples=500, seed=0).interval
    pages = ["easy" if answer == "yes" else "hard" for answer in answers]
    together = score_understanding(gold, answers, pages, samples=500, seed=0).interval
    assert apart.mean == together.mean == 0.5
    assert (together.low, together.high) == (0, 1)
    assert apart.high - apart.low < 0.4


def test_no_question_is_no_score():
    result = score_understanding([], [], [], samples=100, seed=0)
    assert (result.accuracy, result.num, result.unparsed, result.majority) == (0, 0, 0, 0)


def test_a_constant_answer_is_shown_by_its_balanced_accuracy():
    result = score_understanding(["Yes"] * 9 + ["No"], ["yes"] * 10, list("abcdefghij"), samples=200, seed=0)
    assert (result.accuracy, result.balanced_accuracy, result.yes_ratio) == (0.9, 0.5, 1.0)


def test_an_interval_holds_its_mean_narrows_with_more_values_and_repeats():
    few = bootstrap_interval([0, 10] * 10, 1000, seed=1)
    many = bootstrap_interval([0, 10] * 400, 1000, seed=1)
    assert few.low < few.mean == 5.0 < few.high
    assert many.high - many.low < few.high - few.low
    assert bootstrap_interval([0, 10] * 10, 1000, seed=1) == few
    # The standard error of the mean of n coin tosses of 0 or 10 is 5 / sqrt(n).
    assert many.high - many.low == pytest.approx(2 * 1.96 * 5 / 800**0.5, rel=0.15)


def test_a_paired_difference_is_surer_than_two_intervals():
    pages = [0.0, 10.0] * 20
    better = [page + 0.5 + 0.1 * (number % 3) for number, page in enumerate(pages)]
    names = [str(number) for number, _ in enumerate(pages)]
    found = difference(mean("better", names, better), mean("pages", names, pages), 1000, seed=0)
    first, second = bootstrap_interval(better, 1000, seed=0), bootstrap_interval(pages, 1000, seed=0)
    assert second.high > first.low
    assert 0 < found.low < found.mean == pytest.approx(first.mean - second.mean)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<html><body>a</body></html>", "<html><body>a</body></html>"),
        ("Here:\n```html\n<html>a</html>\n```\nDone.", "<html>a</html>"),
        ("<!DOCTYPE html>\n<html>a</html> and so on", "<!DOCTYPE html>\n<html>a</html>"),
        ("<html><body>cut off", "<html><body>cut off"),
        ("there is no page", None),
        ("", None),
    ],
)
def test_the_document_is_found_in_what_a_model_wrote(text, html):
    assert extract_html(text) == html

from collections import Counter

from web2code.config import PagesConfig
from web2code.data.html_statistics import html_statistics
from web2code.pages import draw_pages
from web2code.pages.generator import generate
from web2code.pages.questions import candidates


def test_the_same_seed_gives_the_same_page_and_another_seed_another():
    assert generate(0, 7) == generate(0, 7)
    assert generate(0, 7).html != generate(1, 7).html


def test_pages_are_valid_varied_and_small():
    pages = [generate(0, index) for index in range(300)]
    assert all(html_statistics(page.html).has_body and page.html.endswith("</html>") for page in pages)
    assert len({page.html for page in pages}) > 295
    assert max(len(page.html) for page in pages) < 1100
    for part in ("<header", "<footer", "<aside", "<form", "<table", "<ul", "<nav", "<button", "grid", "flex"):
        assert 0.05 < sum(part in page.html for page in pages) / 300 < 0.9, part


def test_both_answers_are_equally_likely_and_no_question_gives_its_answer_away():
    questions = [question for index in range(600) for question in generate(0, index).questions]
    assert 0.45 < sum(question.answer == "Yes" for question in questions) / len(questions) < 0.55
    kinds = Counter((question.kind, question.answer) for question in questions)
    for kind in ("presence", "colour", "count"):
        assert 0.3 < kinds[kind, "Yes"] / (kinds[kind, "Yes"] + kinds[kind, "No"]) < 0.75, kind


def test_questions_are_true_of_the_facts():
    from random import Random

    pool = {q.question: q.answer for q in candidates(Random(0), {"dark": 1, "header": "blue", "cards": 3})}
    assert pool["Is there a header?"] == "Yes"
    assert pool["Is there a footer?"] == "No"
    assert pool["Is the header blue?"] == "Yes"
    assert pool["Is the number of cards three?"] == "Yes"
    assert pool["Is the background dark?"] == "Yes"
    assert sum(answer == "No" for question, answer in pool.items() if question.startswith("Is the header")) == 1


def test_no_held_out_page_is_in_the_training_split():
    splits = draw_pages(PagesConfig(num_train=400, num_eval=50), "", Counter())
    assert (len(splits["train"]), len(splits["eval"])) == (400, 50)
    assert not {page.html for page in splits["train"]} & {page.html for page in splits["eval"]}

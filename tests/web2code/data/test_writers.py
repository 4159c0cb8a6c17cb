"""Writers: the procedural one on facts of pages, the endpoint's against a server that fails in every way."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter

import pytest

from tests.web2code.data import layouts
from web2code.config import DataConfig, Endpoint, SourceConfig, Where, WriterConfig
from web2code.data.builders.dwcg import code_pair, whole_document
from web2code.data.builders.dwcg_r import refine_layout
from web2code.data.builders.dwu import questions_about
from web2code.data.builders.dwu_r import without_duplicates
from web2code.data.builders.pix2code_layout import compile_layout, parse_layout
from web2code.data.sample import Rejected, Render, Sample, dialogue
from web2code.data.writers import make_writer
from web2code.data.writers.endpoint import EndpointWriter
from web2code.data.writers.procedural import ProceduralWriter
from web2code.data.writers.writer import WriterError
from web2code.endpoint import EndpointError

PAGE = "Sure! ```html\n<!DOCTYPE html>\n<html><body><h1>Tea</h1><p>mail bob@acme.io</p></body></html>\n``` Enjoy."


@pytest.fixture
def chat(chat):
    chat.reply = PAGE
    return chat


def writer(url, cache, dry_run=False, **options) -> EndpointWriter:
    endpoint = Endpoint(
        url=url, timeout_seconds=5, **{"retries": 2, "input_price": 1.0, "output_price": 2.0, **options}
    )
    return EndpointWriter(WriterConfig(model="m"), endpoint, cache, dry_run)


def test_a_reply_becomes_a_page_without_what_stands_around_it(chat, tmp_path):
    made = code_pair("dwcg/0/1", writer(chat.url, tmp_path), seed=0)
    assert isinstance(made, Sample)
    assert made.html == "<html><body><h1>Tea</h1><p>mail name@example.com</p></body></html>"
    assert made.image == Render(made.html)


def test_busy_and_failing_endpoints_are_asked_again(chat, tmp_path):
    chat.script = [429, 500]
    assert writer(chat.url, tmp_path).page("a") == PAGE
    assert len(chat.seen) == 3


def test_a_stopped_build_asks_only_for_what_it_has_not(chat, tmp_path):
    first = writer(chat.url, tmp_path)
    assert list(first.ahead(["a", "b", "c"], first.page)) == [PAGE] * 3
    again = writer(chat.url, tmp_path)
    assert list(again.ahead(["a", "b", "c", "d"], again.page)) == [PAGE] * 4
    assert (len(chat.seen), again.meter.asked, again.meter.from_cache) == (4, 1, 3)
    assert first.meter.cost == pytest.approx(3 * (100 * 1.0 + 50 * 2.0) / 1e6)


@pytest.mark.parametrize("reply", ["I would rather not.", "", b"<html>no json</html>"])
def test_nonsense_is_a_row_with_a_reason(chat, tmp_path, reply):
    chat.reply = reply
    made = code_pair("x", writer(chat.url, tmp_path), seed=0)
    assert isinstance(made, Rejected)
    assert made.reason in ("writer's reply cannot be read", "writer did not answer")


def test_a_reply_that_cannot_be_read_is_asked_for_again(chat, tmp_path):
    chat.script = ["nonsense", '[{"question": "Q?", "answer": ""}]', 'Here: [{"question": "Q?", "answer": "A."}]']
    assert writer(chat.url, tmp_path).questions("k", layouts.HTML, 1) == [("Q?", "A.")]


def test_an_endpoint_that_is_down_ends_the_build_with_a_sentence(tmp_path):
    down = writer("http://127.0.0.1:9/v1", tmp_path, retries=0)
    for number in range(7):
        with pytest.raises(WriterError, match="did not answer"):
            down.page(str(number))
    with pytest.raises(EndpointError, match=r"did not answer 8 requests in a row.*run again to go on"):
        down.page("8")


def test_a_cache_of_earlier_builds_is_still_found(chat, tmp_path):
    asking = writer(chat.url, tmp_path)
    asking.page("a")
    (made,) = tmp_path.glob("*.json")
    prompt = chat.seen[0]["messages"][0]["content"]
    identity = json.dumps([chat.url, "m", 0.8, 4096, "a", prompt, 0])
    assert made.stem == hashlib.sha256(identity.encode()).hexdigest()
    assert chat.seen[0] == {
        "model": "m", "messages": [{"role": "user", "content": prompt}], "temperature": 0.8, "max_tokens": 4096,
    }  # fmt: skip


def test_a_refused_key_ends_the_build_at_once(chat, tmp_path):
    chat.script = [401]
    with pytest.raises(EndpointError, match="refuses m"):
        writer(chat.url, tmp_path).page("a")


def test_asking_stops_at_the_cost_that_was_allowed(chat, tmp_path):
    limited = writer(chat.url, tmp_path, max_cost=0.0003)
    limited.page("a")
    limited.page("b")
    with pytest.raises(EndpointError, match=r"max_cost is 0\.00.*run again to go on"):
        limited.page("c")
    assert len(chat.seen) == 2


def test_a_build_that_goes_on_pays_no_more_than_was_allowed(chat, tmp_path):
    endpoint = Endpoint(url=chat.url, retries=0, output_price=2e4, max_cost=1.5)  # a page costs 1
    where = Where(home=str(tmp_path), data_dir="", endpoint=endpoint)

    def written(seed, *keys):
        data = DataConfig(sources=(SourceConfig(name="written"),), writer=WriterConfig(model="m"), seed=seed)
        asking = make_writer(data, where)
        return [asking.page(key) for key in keys]

    for _ in range(2):
        with pytest.raises(EndpointError, match=r"has cost 2\.00, and max_cost is 1\.50"):
            written(0, "a", "b", "c")
    assert len(chat.seen) == 2
    assert written(1, "d") == [PAGE]


def test_a_dry_run_asks_nothing_and_counts(chat, tmp_path):
    dry = writer(chat.url, tmp_path, dry_run=True)
    with pytest.raises(WriterError, match="dry run"):
        dry.page("a")
    assert (len(chat.seen), dry.meter.asked) == (0, 1)
    assert dry.meter.cost > 0


def test_the_rate_limit_holds(chat, tmp_path):
    limited = writer(chat.url, tmp_path, requests_per_minute=600.0)
    start = time.monotonic()
    list(limited.ahead(range(5), lambda number: limited.page(str(number))))
    assert time.monotonic() - start >= 0.4  # five requests, a tenth of a second apart


def test_procedural_questions_hold_for_the_page():
    html = (
        "<html><head><title>Tea shop</title></head><body><nav><a>Home</a><a>Shop</a></nav><h1>Fresh tea</h1>"
        "<h2>Prices</h2><p>From $5 to $12.</p><ul><li>Green</li><li>Black</li></ul><form><label>Name</label>"
        "<input></form><button>Order</button></body></html>"
    )
    pairs = dict(ProceduralWriter(0).questions("k", html, 14))
    assert len(pairs) == 14
    expected = {
        "What is the main heading?": 'The main heading is "Fresh tea".',
        "What is the highest price on the page?": "The highest price on the page is $12.",
        "How many links are on the page?": "There are 2 links on the page.",
        "What is written on the button?": 'The button says "Order".',
        "Does the page have a table?": "No, the page does not have a table.",
        "Does the page have a form?": "Yes, the page has a form.",
    }
    known = {question: answer for question, answer in expected.items() if question in pairs}
    assert len(known) >= 3
    assert {question: pairs[question] for question in known} == known


def test_the_procedural_writer_repeats_itself_by_seed_and_key():
    one, same, other = ProceduralWriter(1), ProceduralWriter(1), ProceduralWriter(2)
    assert one.page("dwcg/1/7") == same.page("dwcg/1/7") != other.page("dwcg/1/7")
    slots = ["link", "title", "sentence", "button"]
    assert one.texts("a", slots) == same.texts("a", slots)


def test_ten_questions_for_generated_pages():
    page = Sample("p", "DWCG", "s", "CC0-1.0", dialogue([("ask", ProceduralWriter(0).page("dwcg/0/3"))]))
    made = questions_about(page, ProceduralWriter(0))
    assert isinstance(made, Sample)
    assert (made.part, len(made.pairs())) == ("DWU", 10)
    assert len({question for question, _ in made.pairs()}) == 10


@pytest.mark.parametrize(("question", "answer", "sentence"), [
    ("What is the price?", "$20", "The price is $20."),
    ("Is it new?", "no", "No, that is not so on this page."),
    ("How many seats are there?", "4", "The number of seats is 4."),
    ("Who wrote it?", "Ann.", "According to the page, the answer is Ann."),
])  # fmt: skip
def test_short_answers_become_sentences(question, answer, sentence):
    assert ProceduralWriter().sentences("k", [(question, answer)]) == [sentence]


def test_duplicates_of_an_answer_go_and_yes_stays_with_its_question():
    pairs = [("A?", "x"), ("B?", " X "), ("C?", "yes"), ("D?", "yes"), ("c?", "Yes")]
    assert without_duplicates(pairs) == [("A?", "x"), ("C?", "yes"), ("D?", "yes")]


def test_a_layout_becomes_the_page_it_describes():
    layout = parse_layout(layouts.LAYOUT)
    slots = layout.slots()
    assert Counter(slots) == {"link": 3, "title": 2, "sentence": 2, "button": 2}
    html = compile_layout(layout, [f"<{i}>" for i in range(len(slots))])
    assert html.count('class="col-lg-6"') == 2
    assert "&lt;0&gt;" in html  # texts are escaped
    assert html.index("btn-warning") < html.index("btn-danger")


@pytest.mark.parametrize("text", ["row {", "row { single { text }", "} row", "", "marquee { text }", "row text"])
def test_a_broken_layout_is_refused(text):
    with pytest.raises(WriterError):
        parse_layout(text)


def test_a_hostile_layout_does_not_overflow():
    made = refine_layout(
        Sample("x", "Pix2Code", "pix2code", "Apache-2.0", dialogue([("a", "row { " * 100_000)])), ProceduralWriter(), 0
    )
    assert isinstance(made, Rejected)


@pytest.mark.parametrize(("reply", "reason"), [("no page", "no HTML"), ("<html><body>", "does not end")])
def test_half_a_document_is_refused(reply, reason):
    with pytest.raises(WriterError, match=reason):
        whole_document(reply)

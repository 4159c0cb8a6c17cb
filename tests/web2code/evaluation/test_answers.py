import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web2code.evaluation.answers import extract_html, without_thoughts

PAGE = "<html><body>a</body></html>"
DRAFT = "<html><body>draft</body></html>"
CUT = "<!DOCTYPE html>\n<html><body>cut off"
FENCES_INSIDE = "<html><pre>\n```\ncode\n```\n</pre></html>"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (f"```css\nbody {{}}\n```\n```html\n{PAGE}\n```", PAGE),
        (f"```css\nbody {{}}\n```\n\nand\n\n```HTML\n{PAGE}\n```\nDone.", PAGE),
        (f"```\nheader, main, footer\n```\n```html\n{PAGE}\n```", PAGE),
        (f"```\n{DRAFT}\n```\n```html\n{PAGE}\n```", PAGE),
        (f"```\noutline\n```\n```\n{PAGE}\n```", PAGE),
        (f"```xml\n{PAGE}\n```", PAGE),
        (f"```html\n<div>part</div>\n```\n```html\n{PAGE}\n```", PAGE),
        (f"```html\n{PAGE}\n```\n```html\n{DRAFT}\n```", PAGE),
        (f"~~~html\n{PAGE}\n~~~", PAGE),
        (f"````html\n{FENCES_INSIDE}\n````\nDone.", FENCES_INSIDE),
        (f"I write a whole <html> document:\n```html\n{PAGE}\n```", PAGE),
        (f"Here it is: ```html\n{PAGE}```", PAGE),
        (f"```html {PAGE}```", PAGE),
        (f"```css a {{}}``` ```html {PAGE}```", PAGE),
        (f"```html\r\n{PAGE}\r\n```\r\n", PAGE),
        (f"1. the page\n   ```html\n   {PAGE}\n   ```", PAGE),
        (f"```css\nbody {{}}\n```\n{PAGE}", PAGE),
        (f"{PAGE}\n```css\nbody {{}}\n```", PAGE),
        (f"{PAGE}\n```", PAGE),
        (f"{PAGE}\nor else\n{DRAFT}", PAGE),
        (FENCES_INSIDE, FENCES_INSIDE),
        (f"Here:\n{FENCES_INSIDE}\nDone.", FENCES_INSIDE),
        (f"```html\n{FENCES_INSIDE}\n```", FENCES_INSIDE),
        (f'<html><iframe srcdoc="{DRAFT}"></iframe></html>', f'<html><iframe srcdoc="{DRAFT}"></iframe></html>'),
        ("<html>İİİ</html> and so on", "<html>İİİ</html>"),
        ("Here:\n```html\n<p>no document</p>\n```\nwithout an <html> tag", "<p>no document</p>\n"),
        ("```css\na {}\n```\n```html\n<style>a {}</style>\n<a>b</a>\n```", "<style>a {}</style>\n<a>b</a>\n"),
        ("```html\nwords\n```\n```html\n<i>b</i>\n```", "<i>b</i>\n"),
        ("<body class=a>b</body>", "<body class=a>b</body>"),
        ("\n<head><title>a</title></head>b", "\n<head><title>a</title></head>b"),
        ("<header> is an element", None),
        ("It starts with <body>", None),
        ("```html\nno element, a < b\n```", None),
        ("```xml\n<p>no document</p>\n```", None),
        ("```css\nbody {}\n```", None),
        ("```", None),
    ],
)  # fmt: skip
def test_the_page_is_found_whatever_stands_around_it(text, html):
    assert extract_html(text) == html


@pytest.mark.parametrize(
    "text",
    [CUT, f"```html\n{CUT}", f"```css\nbody {{}}\n```\n```html\n{CUT}", f"Here:\n{CUT}", f"<think>a</think>\n{CUT}"],
)
def test_an_answer_that_was_cut_off_counts_as_far_as_it_goes(text):
    assert extract_html(text) == CUT


def test_a_block_without_an_end_tag_ends_at_its_fence():
    assert extract_html(f"```html\n{CUT}\n```\nThat is all.") == f"{CUT}\n"
    assert extract_html(f"```html\n{CUT}\n```\nor else\n```html\n{PAGE}\n```") == f"{CUT}\n"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (f"<think>{DRAFT}</think>{PAGE}", PAGE),
        (f"<think>\n```html\n{DRAFT}\n```\n</think>\n```html\n{PAGE}\n```", PAGE),
        (f"<THINK>{DRAFT}</THINK>\n{PAGE}", PAGE),
        (f"{DRAFT}\n</think>\n{PAGE}", PAGE),
        (f"<think>one</think><think>{DRAFT}</think>{PAGE}", PAGE),
        (f"Well. <think>{DRAFT}</think> So:\n{PAGE}", PAGE),
        (f"<think>{DRAFT}</think>nothing", None),
    ],
)
def test_what_is_only_thought_is_no_answer(text, html):
    assert extract_html(text) == html


words = st.text(st.sampled_from("ab \n.#<>/`"), max_size=30)
labels = st.sampled_from(["css", "js", "json", "text", ""])
inner = st.text(st.sampled_from("ab \n<>/p"), max_size=30)


@given(
    page=inner.map(lambda text: f"<html>{text}</html>"),
    others=st.lists(st.tuples(labels, inner), max_size=4),
    after=words,
)
def test_no_other_block_hides_the_page(page, others, after):
    before = "".join(f"```{label}\n{text}\n```\n" for label, text in others)
    for label in ("html", "HTML"):
        assert extract_html(f"{before}```{label}\n{page}\n```\n{after}") == page


tokens = st.sampled_from(["<html>", "</html>", "```", "html", "\n", "<think>", "</think>", "a", " "])


@given(text=st.lists(tokens).map("".join))
def test_an_extracted_page_is_a_part_of_the_answer_and_extracts_to_itself(text):
    found = extract_html(text)
    if found is None:
        assert "<html" not in without_thoughts(text) or "```" in text
    else:
        assert found in without_thoughts(text)
        assert found.lstrip().startswith(("<html", "<think"))
        assert extract_html(found) == found or "</think>" in found or "<think>" in found


@given(text=st.text(st.characters(exclude_characters="<`~")))
def test_a_page_without_fences_is_kept_to_the_letter(text):
    page = f"<html>{text}</html>"
    assert extract_html(page) == extract_html(f"{text}\n{page}\n{text}") == page


@pytest.mark.parametrize(
    "part", ["```", "``` ", "```a", "~~~`", "<think>", "</think>", "<html>\n", "</html>", " \n```"]
)
def test_hostile_answers_take_no_time(part):
    begin = time.monotonic()
    for start in ("", "<html>", "```html\n<html>", "</think>"):
        extract_html(start + part * 50_000)
    assert time.monotonic() - begin < 5

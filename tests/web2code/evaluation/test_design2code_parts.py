"""The steps of Design2Code's scores that need no browser."""

import difflib
import random
import re
import string
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web2code.evaluation.design2code import matching, ratios
from web2code.evaluation.design2code.blocks import Block, find_blocks, merge_same_boxes
from web2code.evaluation.design2code.colours import ciede2000, colour_difference
from web2code.evaluation.design2code.matching import SCORES, join_neighbours, match, mean_gain, with_context
from web2code.evaluation.design2code.painting import colour, paint
from web2code.evaluation.design2code.preparation import MAX_CHARS, prepare
from web2code.evaluation.design2code.ratios import Ratios, TooManyStepsError
from web2code.evaluation.design2code.repetition import cut_repetition, without_tags

WORDS = (
    "garden", "terms", "lights", "read", "history", "forum", "platform", "shop", "to", "sign", "quarterly",
    "notes", "opening", "hours", "local",
)  # fmt: skip


def block(text, x=0.0, y=0.0, width=0.1, height=0.02, colour=(0, 0, 0)):
    return Block(text, (x, y, width, height), colour)


def sentence(generator, num_words):
    return " ".join(generator.choices(WORDS, k=num_words))


@settings(deadline=None)
@given(st.text("abc ", max_size=40), st.text("abc ", max_size=40))
def test_ratios_are_those_of_difflib(first, second):
    assert Ratios()(first, second) == difflib.SequenceMatcher(None, first, second).ratio()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_ratios_of_long_texts_are_those_of_difflib_with_its_heuristic(seed):
    generator = random.Random(seed)
    first, second = (sentence(generator, generator.randint(1, 80)) for _ in range(2))
    assert Ratios()(first, second) == difflib.SequenceMatcher(None, first, second).ratio()


def published_cut(html):
    """Where the published rule cuts, by its own plain steps."""
    text = re.sub("<.*?>", "", html)
    positions, at = [], -1
    for character in text:
        at = html.index(character, at + 1)
        positions.append(at)
    cut, seen = len(text), {}
    for number in range(0, len(text), 100):
        chunk = text[number : number + 100]
        for known, places in seen.items():
            if difflib.SequenceMatcher(None, chunk, known).ratio() >= 0.8:
                places.append(number)
                if len(places) >= 5:
                    place = min(cut, places[0])
                    cut = min(cut, positions[place] if place < len(positions) else len(html))
                break
        else:
            seen[chunk] = [number]
    return html[:cut] if cut != len(text) else html


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_repetition_is_cut_where_the_published_rule_cuts(seed):
    generator = random.Random(seed)
    repeated = f"<p>{sentence(generator, generator.randint(5, 30))}</p>"
    parts = [f"<p class=x>{sentence(generator, 20)}</p>\n" for _ in range(8)] + [repeated] * generator.randint(0, 25)
    html = f"<html><body>{''.join(parts)}</body></html>"
    assert cut_repetition(html) == published_cut(html)


def test_a_page_that_never_stops_is_cut_and_one_that_stops_is_not():
    generator = random.Random(0)
    start = f"<html><body><p>{sentence(generator, 60)}</p>"
    line = f"<p>{sentence(generator, 14)}</p>"
    assert len(cut_repetition(start + line * 200)) < len(start + line * 5)
    assert cut_repetition(start) == start


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # The first text has but one character, so rare in the second that it counts: three rounds of nearly all of it.
        ("7" * 40_000, "7".join("".join(map(chr, range(start, start + 60))) for start in (300, 400, 500, 600))),
        ("".join(chr(300 + number) * 50 for number in range(190)), "".join(map(chr, range(300, 490)))),
    ],
)
def test_each_round_of_a_comparison_counts(first, second, monkeypatch):
    monkeypatch.setattr(ratios, "MAX_STEPS", 200_000)
    with pytest.raises(TooManyStepsError, match="too many blocks, or too long ones"):
        Ratios()(first, second)


def test_a_page_of_parts_that_are_nearly_alike_is_refused(monkeypatch):
    generator = random.Random(0)
    syllables = [f"{letter}{letter.upper()}{number % 10}-" for number, letter in enumerate(string.ascii_lowercase[:25])]
    html = "".join("".join(generator.sample(syllables, 25)) for _ in range(100))
    assert prepare(html)
    monkeypatch.setattr(ratios, "MAX_STEPS", 1_000_000)
    with pytest.raises(ValueError, match="too many parts that are nearly alike"):
        prepare(html)


@settings(max_examples=100, deadline=None)
@given(st.text("<>a\n", max_size=60))
def test_tags_are_left_out_within_a_line(html):
    assert without_tags(html) == re.sub("<.*?>", "", html)


@pytest.mark.parametrize("part", ["<", "<html", "a", "<b", "ab<p>\n", "<!--", "x&"])
def test_hostile_pages_are_prepared_in_time(part):
    began = time.monotonic()
    prepare(part * (100_000 // len(part)))
    assert time.monotonic() - began < 20


def test_a_page_without_html_is_put_under_it_and_too_long_a_page_is_refused():
    assert prepare("<b>a</b>") == "<html><body><p><b>a</b></p></body></html>"
    assert prepare("<HTML lang=en><b>a") == '<html lang="en"><b>a</b></html>'
    with pytest.raises(ValueError, match="longer than"):
        prepare("a" * (MAX_CHARS + 1))


def test_elements_of_the_same_markup_are_dropped_after_fifty():
    rows = [f"<li class=a>{word}</li>" for word in ("same", "other")]
    page = prepare("<html><ul>" + rows[0] * 60 + rows[1] + "</ul></html>")
    assert (page.count("same"), page.count("other")) == (50, 1)
    nested = prepare("<html>" + "<p><b>x</b><i>y</i></p>" * 60 + "</html>")
    assert (nested.count("<p>"), nested.count("<b>")) == (50, 50)


def test_every_element_of_text_has_a_colour_of_its_own():
    painted = paint(
        "<body style='color: #333'>direct<div style='background-color:red;color:blue; margin:0'>a<em>b</em>"
        "<p>c<strong style='color:red'>d</strong></p></div><label style='border-color: x'>e</label></body>"
    )
    texts = dict(painted.texts)
    assert texts["a"] == texts["b"] == 4095
    assert texts["c"] == 4094
    assert [texts[text] for text in ("direct", "d", "e")] == [None] * 3
    assert 'style="margin:0; background-color: rgba(255, 255, 255, 0.0) !important; color: #FAFAFA' in painted.first
    assert "color: #2C2C2C !important; opacity: 1.0 !important" in painted.second
    assert "blue" not in painted.first
    assert colour(4095) == (250, 250, 250)


def test_a_page_with_more_elements_than_colours_is_refused():
    paint("<body>" + "<b>x</b>" * 4096)
    with pytest.raises(ValueError, match="4097 elements"):
        paint("<body>" + "<b>x</b>" * 4097)


def test_blocks_are_where_the_colours_changed_together():
    page = np.full((20, 40, 3), 255, np.uint8)
    page[4:8, 10:20] = (200, 0, 0)
    page[4:6, 10:20] = (100, 0, 0)
    first, second = (np.full((20, 40, 3), 255, np.uint8) for _ in range(2))
    first[4:8, 10:20] = 250
    second[4:8, 10:20] = 44  # 250 + 50, in a byte
    first[0, 0] = second[0, 0] = 250  # a picture of the same colour, which stays as it is
    first[2, 2], second[2, 2] = 250, 90  # something else that changed
    (found,) = find_blocks([("Word", 4095), ("gone", 4094), ("none", None)], page, first, second)
    assert found == Block("word", (10 / 40, 4 / 20, 10 / 40, 4 / 20), (150, 0, 0))
    assert find_blocks([("Word", 4095)], page, first, second[:10]) == []
    assert find_blocks([("Word", 4095)], page[:5], first, second) == []


def test_texts_of_one_box_are_one_block():
    merged = merge_same_boxes([block("a", colour=(0, 0, 0)), block("x", x=0.5), block("b", colour=(10, 5, 0))])
    assert merged == [block("a b", colour=(5.0, 2.5, 0.0)), block("x", x=0.5)]


# Sharma, Wu and Dalal 2005, table 1.
SHARMA = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, -1.1848, -84.8006), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0009), 7.1792),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (61.0, -5.0, 29.0), 22.8977),
    ((50.0, 2.5, 0.0), (56.0, -27.0, -3.0), 31.9030),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


def test_colours_differ_as_published():
    first, second, expected = (np.array(column) for column in zip(*SHARMA, strict=True))
    assert ciede2000(first, second) == pytest.approx(expected, abs=1e-4)
    assert colour_difference(np.zeros((1, 3)), np.full((1, 3), 255.0)) == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((161, 161, 161), (192, 100, 236), 29.0487),
        ((0, 0, 0), (176, 0, 0), 37.7556),
        ((34, 34, 34), (31, 78, 121), 22.1121),
        ((255, 255, 255), (46, 125, 50), 47.1195),
    ],
)
def test_colours_of_texts_differ_as_for_colormath(first, second, expected):
    difference = colour_difference(np.array([first], float), np.array([second], float))
    assert difference == pytest.approx(expected, abs=1e-3)


def test_the_same_blocks_score_one():
    generator = random.Random(3)
    blocks = [block(sentence(generator, 6), y=place / 40, colour=(place, 20, 30)) for place in range(30)]
    assert match(blocks, blocks).scores == pytest.approx(dict.fromkeys(SCORES, 1.0))


@pytest.mark.parametrize(("candidate", "reference"), [([], []), ([], [block("a")]), ([block("a")], []),
                                                      ([block("aaaa")], [block("zzzz")])])  # fmt: skip
def test_nothing_to_match_scores_zero(candidate, reference):
    assert match(candidate, reference).scores == dict.fromkeys(SCORES, 0.0)


def test_scores_of_two_blocks_by_hand():
    reference = [block("abcd", x=0, width=0.2, height=0.1), block("unmatched", y=0.5, width=0.1, height=0.1)]
    candidate = [block("abcx", x=0.1, width=0.2, height=0.1)]
    scores = match(candidate, reference).scores
    assert scores == pytest.approx({"block": 0.04 / 0.05, "text": 0.75, "position": 0.9, "colour": 1.0})


def test_a_text_that_one_page_cuts_in_two_is_joined():
    generator = random.Random(4)
    texts = [sentence(generator, 8) for _ in range(6)]
    reference = [block(text, y=place / 10) for place, text in enumerate(texts)]
    candidate = [
        part
        for place, text in enumerate(texts)
        for part in (block(text[:20], y=place / 10), block(text[21:], x=0.1, y=place / 10))
    ]
    ours, theirs = join_neighbours(candidate, reference, Ratios())
    assert len(ours) < len(candidate)
    assert theirs == reference


@pytest.mark.parametrize("seed", range(6))
def test_leaving_out_joins_that_cannot_gain_changes_nothing(seed, monkeypatch):
    generator = random.Random(seed)
    reference = [block(sentence(generator, generator.randint(1, 6)), y=place / 50) for place in range(25)]
    candidate = [
        part if generator.random() < 0.6 else block(sentence(generator, 3), y=part.box[1]) for part in reference
    ]
    candidate = candidate[: generator.randint(10, 25)]
    quick = join_neighbours(candidate, reference, Ratios())
    monkeypatch.setattr(matching._Joins, "num_same", lambda self, place: len(self.texts))
    assert join_neighbours(candidate, reference, Ratios()) == quick


def test_the_gain_of_a_join_counts_what_changed_only():
    assert mean_gain([-1.0, -0.5, -0.2], [-1.0, -0.9]) == pytest.approx(0.55)
    assert mean_gain([-1.0, -0.1], [-0.9]) == 0
    assert mean_gain([-0.5, -0.5], [-0.4]) == pytest.approx(-0.1)


def test_similar_neighbours_lower_a_cost():
    costs = np.array([[-0.9, -0.1, 0.0], [-0.2, -0.8, -0.3], [0.0, -0.4, -0.5]])
    expected = costs.copy()
    expected[0, 0] += 0.1 * (-0.8 - 0.2)
    expected[1, 1] += 0.1 * (-0.9 - 0.5)
    assert with_context(costs) == pytest.approx(expected)
    assert with_context(np.array([[-0.9]])) == pytest.approx(np.array([[-0.9]]))

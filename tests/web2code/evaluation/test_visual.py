import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from web2code.config import Viewport
from web2code.evaluation.features import MAX_LOOKS, numbers_in, page_features
from web2code.evaluation.visual import ASPECTS, pixel_similarity, score_aspects, score_groups
from web2code.rendering import Browsers

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "design2code_sample"
PAGE = (
    "<html><style>body{margin:0;background:#fff;font:16px arial}header{background:#136;color:#fff;padding:20px}"
    "div{background:#fc3;margin:20px;height:80px}</style><body><header><h1>Blue Garden</h1></header>"
    "<div>Tea $24</div><div>Cake $9</div><form><input><button>Send</button></form></body></html>"
)


@pytest.fixture(scope="module")
def pool():
    with Browsers(2, Viewport(width=400, height=400)) as browsers:
        yield browsers


def features(pool, *htmls):
    return [page_features(snapshot) for snapshot in pool.render(htmls)]


def aspects(pool, candidate, reference=PAGE):
    return score_aspects(*features(pool, reference, candidate))


def test_identical_pages_score_ten_on_every_aspect(pool):
    assert aspects(pool, PAGE) == pytest.approx(dict.fromkeys(ASPECTS, 10.0))


@pytest.mark.parametrize(
    "blank",
    [
        "",
        "<html><body></body></html>",
        "<html><body style='background:#136'></body></html>",
        "<html><body style='background:#136;color:#136'><h1>Blue Garden</h1>Tea $24 Cake $9</body></html>",
    ],
)
def test_a_page_of_one_colour_scores_nothing(pool, blank):
    assert aspects(pool, blank) == dict.fromkeys(ASPECTS, 0.0)


@pytest.mark.parametrize(
    ("old", "new", "falls", "stays"),
    [
        ("#fc3", "#2a5", {"colour_scheme", "aesthetics"}, {"layout", "alignment", "text", "numbers", "interface"}),
        ("Blue Garden", "Red Desert", {"text"}, {"numbers", "interface", "colour_scheme"}),
        ("$24", "$71", {"numbers"}, {"interface", "fonts"}),
        ("<button>Send</button>", "", {"interface"}, {"numbers", "colour_scheme"}),
        ("height:80px", "height:30px", {"layout", "alignment", "proportions"}, {"text", "numbers", "interface"}),
        ("16px arial", "24px serif", {"fonts"}, {"text", "numbers", "interface"}),
        ("<div>Cake $9</div>", "", {"layout", "alignment", "text", "numbers"}, {"interface"}),
    ],
)
def test_each_change_lowers_what_it_is_about_and_nothing_else(pool, old, new, falls, stays):
    assert old in PAGE
    scores = aspects(pool, PAGE.replace(old, new))
    assert {name for name in falls if scores[name] >= 9.9} == set()
    assert {name for name in stays if scores[name] < 9.0} == set()
    assert max(scores.values()) <= 10.0 + 1e-9


def test_more_damage_never_scores_more(pool):
    damaged = [
        PAGE,
        PAGE.replace("#fc3", "#fd8"),
        PAGE.replace("#fc3", "#84b"),
        PAGE.replace("#fc3", "#84b;margin:60px"),
    ]
    overall = [score_groups(aspects(pool, page))["overall"] for page in damaged]
    assert overall == sorted(overall, reverse=True)
    assert overall[-1] < overall[0] - 1


def test_where_the_reference_has_no_number_and_no_control_inventing_them_scores_nothing(pool):
    plain = "<html><body><h1>Only words</h1></body></html>"
    scores = aspects(pool, plain.replace("words", "words 42 <button>Go</button>"), plain)
    assert (scores["numbers"], scores["interface"]) == (0.0, 0.0)


@pytest.mark.parametrize("trace", [".", "<p>Only</p>", "<div style='background:#eef;height:2px'></div>"])
def test_an_almost_empty_page_earns_nothing_for_what_it_leaves_out(pool, trace):
    plain = "<html><body>" + "<h2 style='background:#dde'>Only words</h2><p>More words</p>" * 4 + "</body></html>"
    scores = aspects(pool, f"<html><body>{trace}</body></html>", plain)
    assert scores["numbers"] == scores["interface"] < 2.6
    assert aspects(pool, plain.replace("More", "Less"), plain)["interface"] == 10.0


def test_text_that_cannot_be_seen_is_not_scored(pool):
    unread = PAGE.replace("Tea $24", "").replace("Cake $9", "")
    hidden = [
        "<p style='color:#fdfdfd'>Tea $24 Cake $9</p>",
        "<p style='color:#fff'>Tea $24 Cake $9</p>",
        "<p style='opacity:0'>Tea $24 Cake $9</p>",
        "<p style='position:absolute;left:-999px'>Tea $24 Cake $9</p>",
        "<p style='visibility:hidden'>Tea $24 Cake $9</p>",
    ]
    expected = aspects(pool, unread)
    for words in hidden:
        scores = aspects(pool, unread.replace("</body>", words + "</body>"))
        assert (scores["text"], scores["numbers"]) == (expected["text"], expected["numbers"]), words


def test_text_that_comes_after_blank_boxes_without_end_is_not_looked_for(pool):
    pile = "<b style='position:absolute;inset:0;font-size:400px;color:#fff'>....</b>"
    page = "<html><body>{}<p>Tea</p></body></html>"
    few, many = features(pool, page.format(pile * 2), page.format(pile * (2 + MAX_LOOKS)))
    assert (few.words["tea"], many.words["tea"]) == (1, 0)


@settings(max_examples=500, deadline=None)
@given(st.text("a5$@.% \n", max_size=12))
def test_numbers_are_what_one_expression_finds_that_may_look_for_ever(words):
    assert list(numbers_in(words)) == re.findall(r"[$€£#@%+]?\d[\d.,:/-]*%?|\S+@\S+", words)


def test_a_page_of_thousands_of_elements_is_scored_and_low(pool):
    crowd = "<html><body>" + "<span style='background:#eee'>a</span> <a>b1</a>" * 1500 + "</body></html>"
    assert score_groups(aspects(pool, crowd))["overall"] < 2.0
    assert aspects(pool, crowd, crowd) == pytest.approx(dict.fromkeys(ASPECTS, 10.0))


def test_one_page_for_all_is_worth_less_than_the_right_one(pool):
    pages = [PAGE, PAGE.replace("#136", "#a21").replace("80px", "40px"), PAGE.replace("<form>", "<p>More</p><form>")]
    found = features(pool, *pages)
    for i, candidate in enumerate(found):
        totals = [score_groups(score_aspects(reference, candidate))["overall"] for reference in found]
        assert max(totals) == totals[i] == pytest.approx(10.0)
        assert sorted(totals)[-2] < 9.9


def test_groups_are_means_of_their_aspects_and_overall_of_the_groups():
    scores = score_groups({name: float(number) for number, name in enumerate(ASPECTS)})
    assert scores == {"overall": 5.5, "vsa": 1.5, "cad": 4.5, "tcc": 7.0, "uii": 9.0}


def test_pixel_similarity_of_pictures_alone(pool):
    same, other, blank, tall = [
        snapshot.png
        for snapshot in pool.render([PAGE, PAGE.replace("#136", "#d33"), "", PAGE.replace("80px", "400px")])
    ]
    assert pixel_similarity(same, same) == pytest.approx(10.0)
    assert 0 < pixel_similarity(same, tall) < pixel_similarity(same, other) < 9.9
    assert pixel_similarity(same, blank) == 0.0


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample of Design2Code pairs is not beside this checkout")
def test_real_pages_are_nearest_to_themselves(pool):
    names = [path.name.removesuffix("_reference.html") for path in sorted(SAMPLE.glob("*_reference.html"))]
    references = features(pool, *((SAMPLE / f"{name}_reference.html").read_text() for name in names))
    candidates = features(pool, *((SAMPLE / f"{name}_candidate.html").read_text() for name in names))
    overall = [score_groups(score_aspects(*pair))["overall"] for pair in zip(references, candidates, strict=True)]
    itself = [score_groups(score_aspects(page, page))["overall"] for page in references]
    swapped = [
        score_groups(score_aspects(*pair))["overall"]
        for pair in zip(references, candidates[1:] + candidates[:1], strict=True)
    ]
    assert itself == pytest.approx([10.0] * len(names))
    assert sum(swapped) < sum(overall) < sum(itself)


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample of Design2Code pairs is not beside this checkout")
def test_real_pairs_are_ranked_much_as_design2code_ranks_them(pool):
    pairs = json.loads((SAMPLE / "scores.json").read_text())["pairs"]
    theirs = [sum(pair[name] for name in ("block", "text", "position", "color")) for pair in pairs]
    ours = []
    for pair in pairs:
        reference, candidate = features(
            pool, *((SAMPLE / pair[side]).read_text() for side in ("reference", "candidate"))
        )
        ours.append(score_groups(score_aspects(reference, candidate))["overall"])
    assert spearmanr(theirs, ours).statistic > 0.8

import json
from pathlib import Path

import numpy as np
import pytest

from tests.web2code.evaluation.clip import small_encoder
from web2code.evaluation.design2code.layout import design2code_layout
from web2code.evaluation.design2code.matching import SCORES
from web2code.evaluation.design2code.scorer import STRUCTURE, VIEWPORT, Scorer, open_browsers
from web2code.rendering import Browsers

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "design2code_sample"
PAGE = (
    "<!DOCTYPE html><html><head><style>body{margin:0;font:16px sans-serif}</style></head><body>"
    "<h1 style='color:#b00'>Blue Garden</h1><p>Open every day from nine to five</p>"
    "<ul><li><a href='#'>Tea</a></li><li>Cake</li></ul><button>Send</button></body></html>"
)
NAMES = {*SCORES, "elements", *STRUCTURE}


@pytest.fixture(scope="module")
def scorer():
    with open_browsers(2) as browsers:
        yield Scorer(browsers)


def published():
    path = SAMPLE / "scores.json"
    return json.loads(path.read_text())["pairs"] if path.exists() else []


@pytest.mark.skipif(not published(), reason="the pages with published scores are not beside the repository")
def test_scores_are_those_of_the_published_script(scorer):
    pairs = [tuple((SAMPLE / pair[side]).read_text() for side in ("reference", "candidate")) for pair in published()]
    for pair, score in zip(published(), scorer.scores(pairs), strict=True):
        expected = {name: pair["color" if name == "colour" else name] for name in SCORES}
        assert {name: score.values[name] for name in SCORES} == pytest.approx(expected, abs=1e-3), pair["candidate"]


@pytest.mark.skipif(not published(), reason="the pages with published scores are not beside the repository")
def test_scores_from_the_layout_are_near_the_published_ones():
    pairs = [tuple((SAMPLE / pair[side]).read_text() for side in ("reference", "candidate")) for pair in published()]
    with Browsers(2, VIEWPORT, layout=True, capture="whole") as browsers:
        snapshots = list(browsers.render(html for pair in pairs for html in pair))
    differences = []
    for pair, reference, candidate in zip(published(), snapshots[::2], snapshots[1::2], strict=True):
        scores = design2code_layout(reference, candidate)
        differences += [abs(scores[name] - pair["color" if name == "colour" else name]) for name in SCORES]
    assert np.mean(differences) < 0.03
    assert design2code_layout(snapshots[0], snapshots[0]) == pytest.approx(dict.fromkeys(SCORES, 1.0))


def test_a_page_scores_one_against_itself(scorer):
    score = scorer.score(PAGE, PAGE)
    assert score.reason == ""
    assert score.values == pytest.approx(dict.fromkeys(NAMES, 1.0))


@pytest.mark.parametrize("blank", ["", " ", "<html><body></body></html>", "<html><body style='background:#123'>"])
def test_a_page_without_text_of_its_own_gets_no_credit_for_text(scorer, blank):
    score = scorer.score(PAGE, blank)
    assert score.reason == ""
    assert {name: score.values[name] for name in SCORES} == dict.fromkeys(SCORES, 0.0)
    assert score.values["ssim"] < 0.1


@pytest.mark.parametrize(
    ("change", "falls"),
    [
        (("#b00", "#0b0"), {"colour"}),
        (("Blue Garden", "Blue Gate"), {"text"}),
        (("<p>Open every day from nine to five</p>", ""), {"block"}),
        (("margin:0", "margin:0 0 0 300px"), {"position"}),
    ],
)
def test_each_score_falls_for_what_it_is_about(scorer, change, falls):
    values = scorer.score(PAGE, PAGE.replace(*change)).values
    assert all(values[name] < 0.99 for name in falls)
    assert values["elements"] < 1


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        ("<html><meta http-equiv=refresh content=0><body>away</body></html>", "navigated away"),
        ("<html><body>" + "<b>x</b><i>y</i>" * 10 + "<![what[", "cannot be parsed"),
        ("<html><body>" + "".join(f"<b>{number}</b>" for number in range(4200)), "4200 elements of text"),
    ],
)
def test_a_page_that_fails_scores_zero_and_says_why(scorer, candidate, reason):
    score = scorer.score(PAGE, candidate)
    assert score.values == dict.fromkeys(NAMES, 0.0)
    assert score.reason.startswith("the candidate was not rendered: ")
    assert reason in score.reason


def test_a_reference_that_fails_is_named(scorer):
    assert scorer.score("<html><body><![what[", PAGE).reason.startswith("the reference was not rendered: ")


def test_many_pairs_are_scored_in_order(scorer):
    candidates = [PAGE, "", PAGE.replace("Tea", "Coffee"), "<html><![what[", PAGE]
    together = list(scorer.scores((PAGE, candidate) for candidate in candidates))
    assert together == [scorer.score(PAGE, candidate) for candidate in candidates]


def test_with_clip_there_is_a_final_score_of_five(scorer):
    textless = "<html><body style='margin:0'><div style='background:#136;height:300px'></div></body></html>"
    with_clip = Scorer(scorer.browsers, small_encoder())
    values = with_clip.score(textless, textless).values
    assert values["clip"] == pytest.approx(1, abs=1e-4)
    assert values["final"] == pytest.approx(0.2 * values["clip"])
    assert "final" not in scorer.score(textless, textless).values
    assert with_clip.score(textless, "<html><![what[").values == dict.fromkeys({*NAMES, "clip", "final"}, 0.0)

"""What scores pages, beside references that are rendered with them, were rendered before, or are real screenshots."""

import pytest

from web2code.config import Viewport
from web2code.evaluation.benchmarks.benchmark import Folders, Sample
from web2code.evaluation.references import References
from web2code.evaluation.wcgb_visual import VisualScorer

VIEWPORT = Viewport(width=256, height=128)
ROWS = [
    {"id": f"p{number}", "html": f"<html><body><h1 style='background:{colour}'>Page {number}</h1></body></html>"}
    for number, colour in enumerate(("#c33", "#3c3", "#33c"))
]
REFRESH = "<html><meta http-equiv=refresh content=0><body>away</body></html>"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def references(out):
    references = References(VIEWPORT, Folders(out, out, out / "kept"))
    assert [set(facts) for facts in references.render(ROWS).values()] == [{"features"}] * 3
    yield references
    references.close()


@pytest.fixture(scope="module")
def scorer(out):
    scorer = VisualScorer(Folders(out, out, out / "kept"))
    yield scorer
    scorer.close()


def sample(name, **facts):
    return Sample(name, (), "", 0, {"viewport": VIEWPORT.model_dump(), **facts})


def test_answers_are_scored_against_their_own_reference(scorer, references, out):
    for page, text, expected in ((ROWS[0], ROWS[0]["html"], 10.0), (ROWS[1], f"```html\n{ROWS[0]['html']}\n```", None)):
        known = scorer.score(sample(f"model/{page['id']}", features=references.features[page["id"]]), text)
        assert known.values == scorer.score(sample("beside", html=page["html"]), text).values
        assert known.values["overall"] == pytest.approx(expected) if expected else 0 < known.values["overall"] < 9.9
    away = scorer.score(sample("model/p2", features=references.features["p2"]), REFRESH)
    assert (away.outcome, away.reason, away.values) == ("failed", "the page navigated away", {})
    none = scorer.score(sample("model/p2", features=references.features["p2"]), "I cannot see it.")
    assert (none.outcome, none.reason) == ("unparsed", "the answer holds no HTML document")
    assert sorted(path.name for path in (out / "model").iterdir()) == ["p0.png", "p1.png"]
    assert (out / "model" / "p0.png").read_bytes() == (out / "reference" / "p0.png").read_bytes()


def test_a_real_screenshot_is_compared_by_its_pixels(scorer, references, out):
    shot = sample("model/screenshots/shot", screenshot=(out / "reference" / "p0.png").read_bytes())
    assert scorer.score(shot, ROWS[0]["html"]).values == {"similarity": pytest.approx(10.0)}
    assert scorer.score(shot, "<html></html>").values == {"similarity": 0.0}
    assert (out / "model" / "screenshots" / "shot.png").exists()


def test_a_constant_page_that_does_not_render_scores_nothing(references):
    scores = references.constant_scores([row["html"] for row in ROWS] + [REFRESH, ""])
    assert min(scores[:3]) > 10.0
    assert scores[3:] == [0.0, 0.0]


def test_a_reference_that_does_not_render_fails_its_own_sample_alone(out, scorer):
    share = References(VIEWPORT, Folders(out, out, out / "kept"))
    try:
        facts = share.render([{"id": "bad", "html": REFRESH}, ROWS[0]])
    finally:
        share.close()
    assert facts["bad"] == {"unrendered": "the page navigated away"}
    for known in (facts["bad"], {"html": REFRESH}):
        verdict = scorer.score(sample("bad", **known), ROWS[0]["html"])
        assert (verdict.outcome, verdict.values) == ("failed", {})
        assert verdict.reason.startswith("the reference page does not render, so that nothing is compared with it")
    assert scorer.score(sample("good", **facts["p0"]), ROWS[0]["html"]).outcome == "scored"

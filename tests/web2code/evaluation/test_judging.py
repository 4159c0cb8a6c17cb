import pytest

from web2code.config import Viewport
from web2code.evaluation.judging import Judge
from web2code.evaluation.writing import Screenshot
from web2code.rendering import Browsers

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
def judge(out):
    with Browsers(1, VIEWPORT) as browsers:
        (snapshot,) = browsers.render([ROWS[0]["html"]])
    judge = Judge(VIEWPORT, [Screenshot("shot", snapshot.png), Screenshot("bad", b"", "it cannot be decoded")], out)
    judge.add_references(ROWS)
    yield judge
    judge.close()


def test_answers_are_scored_against_their_own_reference(judge, out):
    answers = {
        "page/p0": ROWS[0]["html"],
        "page/p1": ROWS[0]["html"],
        "page/p2": REFRESH,
        "screenshot/shot": f"```html\n{ROWS[0]['html']}\n```",
        "question/p0/0": "Yes",
    }
    batch = judge.judge("model", answers)
    assert [page.id for page in batch.pages] == ["p0", "p1", "p2"]
    right, wrong, away = batch.pages
    assert right.scores["overall"] == pytest.approx(10.0)
    assert 0 < wrong.scores["overall"] < 9.9
    assert (away.outcome, away.reason) == ("failed", "the page navigated away")
    assert set(away.scores.values()) == set(away.aspects.values()) == {0.0}
    assert batch.screenshots[0].scores["similarity"] == pytest.approx(10.0)
    assert sorted(path.name for path in (out / "pictures" / "model").iterdir()) == ["p0.png", "p1.png", "screenshots"]


def test_a_constant_page_that_does_not_render_scores_nothing(judge):
    scores = judge.constant_scores([row["html"] for row in ROWS] + [REFRESH, ""])
    assert min(scores[:3]) > 10.0
    assert scores[3:] == [0.0, 0.0]


def test_a_reference_that_does_not_render_is_an_error_of_the_dataset(judge):
    with pytest.raises(ValueError, match="reference page bad does not render"):
        judge.add_references([{"id": "bad", "html": REFRESH}])

"""What a judge is shown of an evaluation's folder."""

import pytest

from tests.web2code.evaluation.judges.test_wcgb import png
from web2code.evaluation.judges.kept import kept_pages, kept_scores
from web2code.evaluation.judges.wcgb import NAMES
from web2code.evaluation.judging import Judged
from web2code.evaluation.summary import System, write_samples
from web2code.evaluation.visual import ASPECTS, score_groups


@pytest.fixture
def out(tmp_path):
    """The folder of an evaluation of three pages, as it is written."""
    aspects = dict.fromkeys(ASPECTS, 7.5)
    nothing = dict.fromkeys(ASPECTS, 0.0)
    judged = [
        Judged("a", "rendered", "", "<html></html>", score_groups(aspects), aspects),
        Judged("b", "failed", "the answer holds no HTML document", "I cannot.", score_groups(nothing), nothing),
        Judged("c", "failed", "the page navigated away", "<html>away</html>", score_groups(nothing), nothing),
    ]
    for folder, colour in (("reference", "red"), ("model", "blue")):
        (tmp_path / "pictures" / folder).mkdir(parents=True)
        for page in judged:
            (tmp_path / "pictures" / folder / f"{page.id}.png").write_bytes(png(colour=colour))
    write_samples(tmp_path, {"model": System(pages=judged), "other": System(pages=judged[1:])}, [])
    return tmp_path


def test_pages_come_with_their_pictures_or_the_reason_for_none(out):
    first, second, third = kept_pages(out, "model")
    assert (first.id, first.candidate, first.outcome) == ("a", png(colour="blue"), "rendered")
    assert (second.outcome, second.reason) == ("unparsed", "the answer holds no HTML document")
    assert (third.outcome, third.reason) == ("failed", "the page navigated away")
    assert all(page.reference == png(colour="red") for page in (first, second, third))


def test_scores_are_those_of_the_pages_that_were_rendered(out):
    assert kept_scores(out, "model") == {"a": dict.fromkeys(NAMES, 7.5)}
    assert kept_scores(out, "other") == {}


def test_a_system_that_was_not_judged_is_an_error(out):
    with pytest.raises(ValueError, match="holds no page of 'candidat'"):
        list(kept_pages(out, "candidat"))

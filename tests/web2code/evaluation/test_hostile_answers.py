"""Answers that try to get out, to leave, to last for ever or to fill the memory, through what scores pages."""

import math
import random
import string

import pytest

from tests.web2code.rendering.hostile_pages import COSTLY, LARGEST, LEAVING, ODD, REACHING, SCRIPTED, TOO_LARGE
from web2code.evaluation.benchmarks.benchmark import Folders, Sample
from web2code.evaluation.benchmarks.design2code import start_layout_scorer, start_scorer
from web2code.evaluation.design2code import ratios
from web2code.evaluation.wcgb_visual import VisualScorer

INNOCENT = "<html><body style='background:#fee'><h1>Plain words</h1><p>Call 555-0101 <button>Buy</button></body></html>"
PICKED = {
    "a frame that reaches out": REACHING["iframe data"],
    "a style sheet that reaches out": REACHING["css import"],
    "a local file": REACHING["file frame"],
    "scripts": SCRIPTED["onload"],
    "a page that leaves": LEAVING["refresh to a hang"],
    "nested too deep": COSTLY["deep divs"],
    "too many boxes": COSTLY["boxes of pseudo-elements"],
    "a picture that unpacks": COSTLY["picture bomb"],
    "an open comment": ODD["open comment"],
    "too large a document": TOO_LARGE["a byte too large"],
    "one long word": COSTLY["one long word"],
    "a long word with a sign": "a" * 100_000 + "@",
    "blank boxes upon each other": lambda: (
        "<style>b{position:absolute;inset:0;font-size:600px;color:#fff}</style>" + "<b>....</b>" * 1_500
    ),
    "texts in one place": lambda: "<p>" + "a<br>" * 100_000,
}
# Every tenth of what takes no long time to draw.
ALL = {**REACHING, **SCRIPTED, **LEAVING, **ODD, **LARGEST, **TOO_LARGE}
PICKED |= {name: ALL[name] for name in list(ALL)[::10]}
ADDRESSES = {
    "$URL": "http://127.0.0.1:9/x",
    "$HOST": "127.0.0.1:9",
    "$FILE": "/etc/hostname",
    "$PAINT": "",
    "$MARK": "m",
}


def answer(name):
    page = PICKED[name]
    html = page if isinstance(page, str) else page()
    for word, meaning in ADDRESSES.items():
        html = html.replace(word, meaning)
    return f"<!doctype html><html>{html}"


@pytest.fixture(scope="module", params=["wcgb", "design2code"])
def scorer(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    folders = Folders(folder / "pictures", folder, folder / "kept")
    scorer = VisualScorer(folders) if request.param == "wcgb" else start_scorer(folders)
    yield scorer
    scorer.close()


def score(scorer, name, text):
    facts = {"html": INNOCENT, "viewport": {"width": 400, "height": 300}}
    return scorer.score(Sample(name, (), "", 1, facts), text)


@pytest.mark.parametrize("name", PICKED)
def test_a_hostile_answer_has_an_outcome_and_the_next_one_is_scored_as_ever(scorer, name):
    verdict = score(scorer, "hostile", answer(name))
    assert verdict.outcome in ("scored", "failed", "unparsed")
    assert bool(verdict.reason) == (verdict.outcome != "scored")
    assert all(math.isfinite(value) for value in verdict.values.values())
    innocent = score(scorer, "innocent", INNOCENT)
    best = 1.0 if "block" in innocent.values else 10.0
    assert innocent.outcome == "scored"
    assert innocent.values["overall" if best == 10 else "elements"] == pytest.approx(best)


@pytest.fixture(scope="module")
def by_blocks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocks")
    scorer = start_scorer(Folders(folder / "pictures", folder, folder / "kept"))
    yield scorer
    scorer.close()


def words(num, seed):
    """A page with so many blocks, each a word that none else is like."""
    letters = random.Random(seed)
    blocks = "".join(f"<p>{''.join(letters.choices(string.ascii_lowercase, k=12))}</p>" for _ in range(num))
    return f"<html><body>{blocks}</body></html>"


def test_a_page_with_too_many_blocks_to_match_fails_and_says_so(by_blocks, monkeypatch):
    monkeypatch.setattr(ratios, "MAX_STEPS", 1_000_000)
    facts = {"html": words(60, seed=0)}
    found = {num: by_blocks.score(Sample(f"page{num}", (), "", 1, facts), words(num, seed=1)) for num in (10, 400)}
    assert found[10].outcome == "scored"
    assert found[400].outcome == "failed"
    assert found[400].reason.startswith("the candidate has 400 blocks of text and the reference 60: too many blocks")
    assert found[400] == by_blocks.score(Sample("page400", (), "", 1, facts), words(400, seed=1))
    assert by_blocks.score(Sample("after", (), "", 1, facts), facts["html"]).values["elements"] == pytest.approx(1)


def test_by_layout_too_a_page_with_too_many_blocks_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(ratios, "MAX_STEPS", 1_000_000)
    scorer = start_layout_scorer(Folders(tmp_path / "pictures", tmp_path, tmp_path / "kept"))
    try:
        verdict = scorer.score(Sample("page", (), "", 1, {"html": words(60, seed=0)}), words(400, seed=1))
    finally:
        scorer.close()
    assert (verdict.outcome, verdict.reason[:15]) == ("failed", "too many blocks")

"""Scores a model's answers to Design2Code's screenshots, and keeps their pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from web2code.evaluation.answers import extract_html, without_thoughts
from web2code.evaluation.benchmarks.benchmark import Folders, Sample, Verdict
from web2code.evaluation.benchmarks.design2code import CLIP, PLACEHOLDER
from web2code.evaluation.design2code.layout import design2code_layout
from web2code.evaluation.design2code.matching import SCORES
from web2code.evaluation.design2code.preparation import prepare
from web2code.evaluation.design2code.ratios import TooManyStepsError
from web2code.evaluation.design2code.scorer import VIEWPORT, Score, Scorer, open_browsers, pictures_of
from web2code.evaluation.wcgb_visual import ReferenceFailedError, write_picture
from web2code.rendering import Browsers

BROWSERS = 2


class Design2CodeScorer:
    """A scorer with its own browsers.

    Args:
        pictures: folder that the renderings of answers go to, as `ID.png`.
        compare: the score of an answer's page, from the reference's HTML and it.
    """

    def __init__(self, pictures: Path, browsers: Browsers, compare: Callable[[str, str], Score]) -> None:
        self.pictures, self.browsers, self.compare = pictures, browsers, compare

    def prepare(self, sample: Sample) -> None:
        """Nothing: what a reference needs is done with its answer's page, side by side."""

    def score(self, sample: Sample, text: str) -> Verdict:
        """What an answer is worth, from rendering it beside the reference; as published, words alone are a page too."""
        answer = extract_html(text) or without_thoughts(text)
        if not answer.strip():
            return Verdict(sample.id, "unparsed", reason="the answer is blank")
        score = self.compare(sample.facts["html"], answer)
        if score.reason:
            return Verdict(sample.id, "failed", reason=score.reason)
        write_picture(self.pictures, sample.id, score.picture)
        return Verdict(sample.id, "scored", score.values)

    def close(self) -> None:
        """End the browsers."""
        self.browsers.close()


def published_scorer(folders: Folders) -> Design2CodeScorer:
    """What scores as published, with CLIP where the test set's folder has it."""
    clip = None
    if (folders.files / CLIP).is_dir():
        from web2code.evaluation.design2code.clip import load_clip  # heavy: only this score needs it

        clip = load_clip(folders.files / CLIP)
    browsers = open_browsers(BROWSERS, read_placeholder(folders.files)).__enter__()
    return Design2CodeScorer(folders.pictures, browsers, Scorer(browsers, clip).score)


def layout_scorer(folders: Folders) -> Design2CodeScorer:
    """What renders each page once and scores it by its layout."""
    shown = pictures_of(read_placeholder(folders.files))
    browsers = Browsers(BROWSERS, VIEWPORT, capture="whole", pictures=shown, retry=True).__enter__()
    return Design2CodeScorer(folders.pictures, browsers, partial(layout_score, browsers))


def layout_score(browsers: Browsers, reference: str, answer: str) -> Score:
    """The score of an answer's page by its layout; it failed where the reference does not render."""
    try:
        document = prepare(answer)
    except ValueError as error:
        return Score({}, str(error))
    expected, found = [page.result() for page in [browsers.submit(html) for html in (reference, document)]]
    if expected.outcome == "failed":
        return Score({}, str(ReferenceFailedError(expected.reason)))
    if found.outcome == "failed":
        return Score({}, found.reason)
    try:
        scores = design2code_layout(expected, found)
    except TooManyStepsError as error:
        return Score({}, str(error))
    return Score(scores | {"elements": sum(scores.values()) / len(SCORES)}, picture=found.png)


def read_placeholder(files: Path) -> bytes | None:
    """The picture that the test set's pages show, where its files are there."""
    path = files / PLACEHOLDER
    return path.read_bytes() if path.exists() else None

"""Scores a model's answers to Design2Code's screenshots, and keeps their pictures."""

from __future__ import annotations

import re
from pathlib import Path

from web2code.evaluation.answers import extract_html
from web2code.evaluation.benchmarks.benchmark import Sample, Verdict
from web2code.evaluation.benchmarks.design2code import CLIP, PLACEHOLDER
from web2code.evaluation.design2code.layout import design2code_layout
from web2code.evaluation.design2code.matching import SCORES
from web2code.evaluation.design2code.preparation import prepare
from web2code.evaluation.design2code.scorer import VIEWPORT, Scorer, open_browsers, pictures_of
from web2code.evaluation.wcgb_visual import ReferenceFailedError, write_picture
from web2code.rendering import Browsers

BROWSERS = 2
HTML = re.compile(r"<[a-zA-Z]")


class Design2CodeScorer:
    """A scorer with its own browsers.

    Args:
        pictures: folder that the renderings of answers go to, as `ID.png`.
        files: folder of the test set.
    """

    def __init__(self, pictures: Path, files: Path) -> None:
        clip = None
        if (files / CLIP).is_dir():
            from web2code.evaluation.design2code.clip import load_clip  # heavy: only this score needs it

            clip = load_clip(files / CLIP)
        self.browsers = open_browsers(BROWSERS, read_placeholder(files)).__enter__()
        self.scorer, self.pictures = Scorer(self.browsers, clip), pictures

    def score(self, sample: Sample, text: str) -> Verdict:
        """What an answer is worth, from rendering it beside the reference."""
        if not HTML.search(text):
            return Verdict(sample.id, "unparsed", reason="the answer has no HTML")
        if "html" not in sample.facts:
            raise ValueError(f"{sample.id} has no HTML of its reference: leave Design2Code's scores out")
        score = self.scorer.score(sample.facts["html"], extract_html(text) or text)
        if score.reason:
            return Verdict(sample.id, "failed", reason=score.reason)
        write_picture(self.pictures, sample.id, score.picture)
        return Verdict(sample.id, "scored", score.values)

    def close(self) -> None:
        """End the browsers."""
        self.browsers.close()


class LayoutScorer:
    """A scorer that renders each page once, with its layout; its arguments are those of `Design2CodeScorer`."""

    def __init__(self, pictures: Path, files: Path) -> None:
        shown = pictures_of(read_placeholder(files))
        self.browsers = Browsers(BROWSERS, VIEWPORT, capture="whole", pictures=shown, retry=True).__enter__()
        self.pictures = pictures

    def score(self, sample: Sample, text: str) -> Verdict:
        """What an answer is worth by its layout; it failed where the reference does not render."""
        if not HTML.search(text):
            return Verdict(sample.id, "unparsed", reason="the answer has no HTML")
        try:
            document = prepare(extract_html(text) or text)
        except ValueError as error:
            return Verdict(sample.id, "failed", reason=str(error))
        pages = [self.browsers.submit(html) for html in (sample.facts["html"], document)]
        reference, candidate = pages[0].result(), pages[1].result()
        if reference.outcome == "failed":
            return Verdict(sample.id, "failed", reason=str(ReferenceFailedError(reference.reason)))
        if candidate.outcome == "failed":
            return Verdict(sample.id, "failed", reason=candidate.reason)
        write_picture(self.pictures, sample.id, candidate.png)
        scores = design2code_layout(reference, candidate)
        return Verdict(sample.id, "scored", scores | {"elements": sum(scores.values()) / len(SCORES)})

    def close(self) -> None:
        """End the browsers."""
        self.browsers.close()


def read_placeholder(files: Path) -> bytes | None:
    """The picture that the test set's pages show, where its files are there."""
    path = files / PLACEHOLDER
    return path.read_bytes() if path.exists() else None

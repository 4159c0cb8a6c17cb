"""Scores a model's answers to Design2Code's screenshots, and keeps their pictures."""

from __future__ import annotations

import re
from pathlib import Path

from web2code.evaluation.answers import extract_html
from web2code.evaluation.benchmarks.benchmark import Sample, Verdict
from web2code.evaluation.benchmarks.design2code import CLIP, PLACEHOLDER
from web2code.evaluation.design2code.scorer import Scorer, open_browsers

BROWSERS = 2


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
        placeholder = files / PLACEHOLDER
        self.browsers = open_browsers(BROWSERS, placeholder.read_bytes() if placeholder.exists() else None).__enter__()
        self.scorer, self.pictures = Scorer(self.browsers, clip), pictures

    def score(self, sample: Sample, text: str) -> Verdict:
        """What an answer is worth, from rendering it beside the reference."""
        if not re.search(r"<[a-zA-Z]", text):
            return Verdict(sample.id, "unparsed", reason="the answer has no HTML")
        score = self.scorer.score(sample.facts["html"], extract_html(text) or text)
        if score.reason:
            return Verdict(sample.id, "failed", reason=score.reason)
        self.pictures.mkdir(parents=True, exist_ok=True)
        (self.pictures / f"{sample.id}.png").write_bytes(score.picture)
        return Verdict(sample.id, "scored", score.values)

    def close(self) -> None:
        """End the browsers."""
        self.browsers.close()

"""Scores the pages that a model wrote for WCGB's screenshots, without a judge."""

from __future__ import annotations

import contextlib
import threading
from functools import lru_cache
from pathlib import Path

from web2code.config import ASPECTS, Viewport
from web2code.evaluation.answers import extract_html
from web2code.evaluation.benchmarks.benchmark import Folders, Sample, Verdict
from web2code.evaluation.features import PageFeatures, page_features
from web2code.evaluation.visual import pixel_similarity, score_aspects, score_groups
from web2code.rendering import Browsers, Snapshot
from web2code.rendering.kept import Kept
from web2code.rendering.modes import Capture

# Documents whose rendering is at hand: the constant page answers everything.
RECENT = 8


class ReferenceFailedError(RuntimeError):
    """A reference page did not render, for the reason given."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the reference page does not render, so that nothing is compared with it: {reason}")


class VisualScorer:
    """Renders a reference and an answer, and computes the ten aspects of `wcgb_visual`.

    A sample's facts are `viewport`, and `html` or, where the reference was rendered before, its `features`, or why it
    was `unrendered`. A real `screenshot` has none of these: it is compared by its pixels alone. References are rendered
    once, whatever is evaluated.

    Args:
        viewports: windows that pages are seen in, whose scores are averaged; none means that of the screenshot.
        capture: which part of a page is seen.
    """

    def __init__(self, folders: Folders, viewports: tuple[Viewport, ...] = (), capture: Capture = "page") -> None:
        self.pictures, self.viewports, self.capture = folders.pictures, viewports, capture
        self.references = Kept(folders.kept, capture)
        self.browsers: dict[Viewport, Browsers] = {}
        self.starting = threading.Lock()
        self.candidate = lru_cache(RECENT)(self.rendered)

    def prepare(self, sample: Sample) -> None:
        """Start what draws a sample's answer, and render its reference, where it was not."""
        html = sample.facts.get("html")
        for viewport in self.viewports_of(sample):
            self.windows(viewport)
            if html is not None and not self.references.has(html, viewport):
                with contextlib.suppress(ReferenceFailedError):
                    self.reference(sample, viewport)

    def score(self, sample: Sample, text: str) -> Verdict:
        """An answer's aspects and groups, or its `similarity` to a screenshot; its picture is kept as `ID.png`.

        Where the reference does not render there is nothing to compare with, and the answer failed for that reason.
        """
        document = extract_html(text)
        if document is None:
            return Verdict(sample.id, "unparsed", reason="the answer holds no HTML document")
        views: list[dict[str, float]] = []
        for viewport in self.viewports_of(sample):
            try:
                expected = self.expected(sample, viewport)
            except ReferenceFailedError as error:
                return Verdict(sample.id, "failed", reason=str(error))
            found, features = self.candidate(viewport, document)
            if features is None:
                return Verdict(sample.id, "failed", reason=found.reason)
            if not views:
                write_picture(self.pictures, sample.id, found.png)
            if expected is None:
                similarity = pixel_similarity(sample.facts["screenshot"], found.png)
                return Verdict(sample.id, "scored", {"similarity": similarity})
            views.append(score_aspects(expected, features))
        aspects = {name: sum(view[name] for view in views) / len(views) for name in ASPECTS}
        return Verdict(sample.id, "scored", {**score_groups(aspects), **aspects})

    def expected(self, sample: Sample, viewport: Viewport) -> PageFeatures | None:
        """The features of a sample's reference in a window; None of a screenshot, which has no page.

        Raises:
            ReferenceFailedError: it does not render.
        """
        if "unrendered" in sample.facts:
            raise ReferenceFailedError(sample.facts["unrendered"])
        if "html" not in sample.facts:
            return sample.facts.get("features")
        return page_features(self.reference(sample, viewport))

    def reference(self, sample: Sample, viewport: Viewport) -> Snapshot:
        """A sample's reference in a window, rendered now or at some time before."""
        html = sample.facts["html"]
        if (known := self.references.find(html, viewport)) is None:
            known = self.windows(viewport).submit(html).result()
            if known.outcome == "failed":
                raise ReferenceFailedError(known.reason)
            self.references.add(html, viewport, known)
        return known

    def rendered(self, viewport: Viewport, document: str) -> tuple[Snapshot, PageFeatures | None]:
        """An answer's page in a window, with its features where it rendered."""
        snapshot = self.windows(viewport).submit(document).result()
        return snapshot, None if snapshot.outcome == "failed" else page_features(snapshot)

    def viewports_of(self, sample: Sample) -> tuple[Viewport, ...]:
        """The windows that a sample is seen in."""
        return self.viewports or (Viewport(**sample.facts["viewport"]),)

    def close(self) -> None:
        """End the browsers."""
        for browsers in self.browsers.values():
            browsers.close()

    def windows(self, viewport: Viewport) -> Browsers:
        """Browsers with such a window."""
        with self.starting:
            if viewport not in self.browsers:
                self.browsers[viewport] = Browsers(viewport=viewport, capture=self.capture, retry=True).__enter__()
            return self.browsers[viewport]


def write_picture(folder: Path, name: str, picture: bytes) -> None:
    """Keep an answer's picture as `NAME.png`."""
    path = folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture)

"""Scores the pages that a model wrote for WCGB's screenshots, without a judge."""

from __future__ import annotations

import threading
from functools import lru_cache

from web2code.config import ASPECTS, Viewport
from web2code.evaluation.answers import extract_html
from web2code.evaluation.benchmarks.benchmark import Folders, Sample, Verdict
from web2code.evaluation.features import PageFeatures, page_features
from web2code.evaluation.visual import pixel_similarity, score_aspects, score_groups
from web2code.rendering import Browsers, Snapshot
from web2code.rendering.kept import Kept
from web2code.rendering.modes import Capture

# Documents that are kept rendered: the constant page answers everything.
KEPT = 8


class VisualScorer:
    """Renders a reference and an answer, and computes the ten aspects of `wcgb_visual`.

    A sample's facts are `viewport`, and `html` or, where the reference was rendered before, its `features`. A real
    `screenshot` has neither: it is compared by its pixels alone.
    Such a reference is rendered once, whatever is evaluated.

    Args:
        viewports: windows that pages are seen in, whose scores are averaged; none means that of the screenshot.
        capture: which part of a page is seen.
    """

    def __init__(self, folders: Folders, viewports: tuple[Viewport, ...] = (), capture: Capture = "page") -> None:
        self.pictures, self.viewports, self.capture = folders.pictures, viewports, capture
        self.references = Kept(folders.kept, capture)
        self.browsers: dict[Viewport, Browsers] = {}
        self.starting = threading.Lock()
        self.rendered = lru_cache(KEPT)(self._render)

    def score(self, sample: Sample, text: str) -> Verdict:
        """An answer's aspects and groups, or its `similarity` to a screenshot; its picture is kept as `ID.png`.

        Raises:
            ValueError: the reference does not render: the benchmark's files are bad.
        """
        document = extract_html(text)
        if document is None:
            return Verdict(sample.id, "unparsed", reason="the answer holds no HTML document")
        views: list[dict[str, float]] = []
        for viewport in self.viewports or (Viewport(**sample.facts["viewport"]),):
            expected, found, features = self.look(sample, document, viewport)
            if features is None:
                return Verdict(sample.id, "failed", reason=found.reason)
            if not views:
                self._keep(sample.id, found)
            if expected is None:
                similarity = pixel_similarity(sample.facts["screenshot"], found.png)
                return Verdict(sample.id, "scored", {"similarity": similarity})
            views.append(score_aspects(expected, features))
        aspects = {name: sum(view[name] for view in views) / len(views) for name in ASPECTS}
        return Verdict(sample.id, "scored", {**score_groups(aspects), **aspects})

    def look(
        self, sample: Sample, document: str, viewport: Viewport
    ) -> tuple[PageFeatures | None, Snapshot, PageFeatures | None]:
        """Features of the reference, if there is one; an answer's page, and its features if it rendered."""
        html: str = sample.facts.get("html", "")
        known = self.references.find(html, viewport) if html else None
        reference = self._browsers(viewport).submit(html) if html and not known else None
        found, features = self.rendered(viewport, document)
        if reference:
            known = whole(sample.id, reference.result())
            self.references.add(html, viewport, known)
        return page_features(known) if known else sample.facts.get("features"), found, features

    def close(self) -> None:
        """End the browsers."""
        for browsers in self.browsers.values():
            browsers.close()

    def _render(self, viewport: Viewport, document: str) -> tuple[Snapshot, PageFeatures | None]:
        snapshot = self._browsers(viewport).submit(document).result()
        return snapshot, None if snapshot.outcome == "failed" else page_features(snapshot)

    def _browsers(self, viewport: Viewport) -> Browsers:
        with self.starting:
            if viewport not in self.browsers:
                self.browsers[viewport] = Browsers(viewport=viewport, capture=self.capture).__enter__()
            return self.browsers[viewport]

    def _keep(self, name: str, snapshot: Snapshot) -> None:
        path = self.pictures / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(snapshot.png)


def whole(name: str, reference: Snapshot) -> Snapshot:
    """A reference page that was rendered.

    Raises:
        ValueError: it was not.
    """
    if reference.outcome == "failed":
        raise ValueError(f"reference page {name} does not render ({reference.reason}): rebuild the dataset")
    return reference

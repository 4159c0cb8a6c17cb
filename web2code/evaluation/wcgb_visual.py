"""Scores the pages that a model wrote for WCGB's screenshots, without a judge."""

from __future__ import annotations

import threading

from web2code.config import ASPECTS, Viewport
from web2code.evaluation.answers import extract_html
from web2code.evaluation.benchmarks.benchmark import Folders, Sample, Verdict
from web2code.evaluation.features import page_features
from web2code.evaluation.visual import score_aspects, score_groups
from web2code.rendering import Browsers, Snapshot
from web2code.rendering.kept import Kept
from web2code.rendering.modes import Capture


class VisualScorer:
    """Renders a reference and an answer, and computes the ten aspects of `wcgb_visual`.

    References are rendered once, whatever is evaluated.

    Args:
        viewports: windows that pages are seen in, whose scores are averaged; none means that of the screenshot.
        capture: which part of a page is seen.
    """

    def __init__(self, folders: Folders, viewports: tuple[Viewport, ...] = (), capture: Capture = "page") -> None:
        self.pictures, self.viewports, self.capture = folders.pictures, viewports, capture
        self.references = Kept(folders.kept, capture)
        self.browsers: dict[Viewport, Browsers] = {}
        self.starting = threading.Lock()

    def score(self, sample: Sample, text: str) -> Verdict:
        """An answer's aspects and groups; its picture is kept as `ID.png`.

        Raises:
            ValueError: the reference does not render: the benchmark's files are bad.
        """
        document = extract_html(text)
        if document is None:
            return Verdict(sample.id, "unparsed", reason="the answer holds no HTML document")
        views: list[dict[str, float]] = []
        for viewport in self.viewports or (Viewport(**sample.facts["viewport"]),):
            expected, found = self.render(sample, document, viewport)
            if expected.outcome == "failed":
                raise ValueError(f"wcgb: reference page {sample.id} does not render ({expected.reason})")
            if found.outcome == "failed":
                return Verdict(sample.id, "failed", reason=found.reason)
            if not views:
                self._keep(sample.id, found)
            views.append(score_aspects(page_features(expected), page_features(found)))
        aspects = {name: sum(view[name] for view in views) / len(views) for name in ASPECTS}
        return Verdict(sample.id, "scored", {**score_groups(aspects), **aspects})

    def render(self, sample: Sample, document: str, viewport: Viewport) -> tuple[Snapshot, Snapshot]:
        """The reference and the page of an answer in one window."""
        browsers, html = self._browsers(viewport), sample.facts["html"]
        candidate, known = browsers.submit(document), self.references.find(html, viewport)
        if known is None:
            known = browsers.submit(html).result()
            self.references.add(html, viewport, known)
        return known, candidate.result()

    def close(self) -> None:
        """End the browsers."""
        for browsers in self.browsers.values():
            browsers.close()

    def _browsers(self, viewport: Viewport) -> Browsers:
        with self.starting:
            if viewport not in self.browsers:
                self.browsers[viewport] = Browsers(viewport=viewport, capture=self.capture).__enter__()
            return self.browsers[viewport]

    def _keep(self, name: str, snapshot: Snapshot) -> None:
        self.pictures.mkdir(parents=True, exist_ok=True)
        (self.pictures / f"{name}.png").write_bytes(snapshot.png)

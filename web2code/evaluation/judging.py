"""Renders answers and compares them with the references it is in charge of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from web2code.config import Viewport
from web2code.evaluation.answers import extract_html
from web2code.evaluation.features import PageFeatures, page_features
from web2code.evaluation.visual import FAILED, pixel_similarity, score_aspects, score_groups
from web2code.evaluation.writing import Screenshot
from web2code.rendering import Browsers, Snapshot


@dataclass(frozen=True)
class Judged:
    """What came of one answer: `outcome` is `rendered` or `failed`, and a failed one scores 0 everywhere."""

    id: str
    outcome: str
    reason: str
    html: str
    scores: dict[str, float] = field(default_factory=dict)
    aspects: dict[str, float] = field(default_factory=dict)


class Judge:
    """One Chromium and the features of the reference pages that were given to it."""

    def __init__(self, viewport: Viewport) -> None:
        self.browsers = Browsers(1, viewport, layout=True).__enter__()
        self.references: dict[str, PageFeatures] = {}

    def add_references(self, rows: Sequence[dict[str, Any]], out: Path) -> int:
        """Render reference pages and keep their features; returns how many did not render.

        Raises:
            ValueError: a reference page does not render: the dataset is bad.
        """
        folder = out / "pictures" / "reference"
        folder.mkdir(parents=True, exist_ok=True)
        for row, snapshot in zip(rows, self.browsers.render(row["html"] for row in rows), strict=True):
            if snapshot.outcome == "failed":
                raise ValueError(f"reference page {row['id']} does not render ({snapshot.reason}): rebuild the dataset")
            self.references[row["id"]] = page_features(snapshot)
            (folder / f"{row['id']}.png").write_bytes(snapshot.png)
        return len(rows)

    def constant_scores(self, htmls: Sequence[str]) -> list[float]:
        """For each page, the sum of its overall scores against all references held here."""
        totals = []
        for snapshot in self.browsers.render(htmls):
            features = page_features(snapshot)
            totals.append(
                sum(
                    score_groups(score_aspects(reference, features))["overall"]
                    for reference in self.references.values()
                )
            )
        return totals

    def judge_pages(self, system: str, answers: dict[str, str], out: Path) -> list[Judged]:
        """Score the answers to the reference pages held here and keep their pictures."""
        ids = list(self.references)
        texts = [answers[f"page/{page}"] for page in ids]
        judged = []
        for page, html, snapshot in self._render(ids, texts, out / "pictures" / system):
            aspects = (
                score_aspects(self.references[page], page_features(snapshot))
                if snapshot.outcome == "rendered"
                else FAILED
            )
            judged.append(Judged(page, snapshot.outcome, snapshot.reason, html, score_groups(aspects), aspects))
        return judged

    def judge_screenshots(
        self, system: str, answers: dict[str, str], shots: Sequence[Screenshot], out: Path
    ) -> list[Judged]:
        """Score answers to real screenshots on pixels alone."""
        usable = [shot for shot in shots if not shot.problem]
        texts = [answers[f"screenshot/{shot.id}"] for shot in usable]
        pictures = {shot.id: shot.png for shot in usable}
        judged = [Judged(shot.id, "failed", shot.problem, "", {"similarity": 0.0}) for shot in shots if shot.problem]
        for shot, html, snapshot in self._render(list(pictures), texts, out / "pictures" / system / "screenshots"):
            rendered = snapshot.outcome == "rendered"
            similarity = pixel_similarity(pictures[shot], snapshot.png) if rendered else 0.0
            judged.append(Judged(shot, snapshot.outcome, snapshot.reason, html, {"similarity": similarity}))
        return judged

    def _render(self, ids: Sequence[str], texts: Sequence[str], folder: Path) -> list[tuple[str, str, Snapshot]]:
        folder.mkdir(parents=True, exist_ok=True)
        documents = [extract_html(text) for text in texts]
        snapshots = list(self.browsers.render(document or "" for document in documents))
        results = []
        for page, text, document, snapshot in zip(ids, texts, documents, snapshots, strict=True):
            if document is None:
                snapshot = Snapshot("failed", "the answer holds no HTML document")
            if snapshot.outcome == "rendered":
                (folder / f"{page}.png").write_bytes(snapshot.png)
            results.append((page, document or text, snapshot))
        return results

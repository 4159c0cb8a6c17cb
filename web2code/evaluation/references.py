"""The held-out pages that all systems are compared with: each is rendered once, by what scores the answers later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from web2code.config import Viewport
from web2code.evaluation.benchmarks.benchmark import Folders
from web2code.evaluation.features import PageFeatures, page_features
from web2code.evaluation.visual import score_aspects, score_groups
from web2code.evaluation.wcgb_visual import VisualScorer, write_picture


class References(VisualScorer):
    """A scorer that has a share of the pages; their pictures are kept as `reference/ID.png`."""

    def __init__(self, viewport: Viewport, folders: Folders) -> None:
        super().__init__(folders, (viewport,))
        self.viewport = viewport
        self.features: dict[str, PageFeatures] = {}

    def render(self, rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """By page, what answers are compared with: its `features`, or why it is `unrendered`."""
        facts: dict[str, dict[str, Any]] = {}
        snapshots = self.windows(self.viewport).render(row["html"] for row in rows)
        for row, snapshot in zip(rows, snapshots, strict=True):
            if snapshot.outcome == "failed":
                facts[row["id"]] = {"unrendered": snapshot.reason}
                continue
            self.features[row["id"]] = page_features(snapshot)
            facts[row["id"]] = {"features": self.features[row["id"]]}
            write_picture(self.pictures, f"reference/{row['id']}", snapshot.png)
        return facts

    def constant_scores(self, htmls: Sequence[str]) -> list[float]:
        """For each document, the sum of its overall scores against all pages rendered here; 0 where it fails."""
        totals = []
        for snapshot in self.windows(self.viewport).render(htmls):
            found = None if snapshot.outcome == "failed" else page_features(snapshot)
            aspects = [score_aspects(reference, found) for reference in self.features.values() if found]
            totals.append(sum(score_groups(one)["overall"] for one in aspects))
        return totals

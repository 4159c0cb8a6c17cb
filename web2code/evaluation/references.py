"""The held-out pages that all systems are compared with: each is rendered once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from web2code.config import Viewport
from web2code.evaluation.features import PageFeatures, page_features
from web2code.evaluation.visual import score_aspects, score_groups
from web2code.evaluation.wcgb_visual import whole
from web2code.rendering import Browsers


class References:
    """A share of the pages, and a few browsers.

    Args:
        pictures: folder that the pages' pictures go to, as `ID.png`.
    """

    def __init__(self, viewport: Viewport, pictures: Path) -> None:
        self.browsers = Browsers(viewport=viewport).__enter__()
        self.features: dict[str, PageFeatures] = {}
        self.pictures = pictures

    def close(self) -> None:
        """End the browsers."""
        self.browsers.close()

    def render(self, rows: Sequence[dict[str, Any]]) -> dict[str, PageFeatures]:
        """Features by page.

        Raises:
            ValueError: a page does not render: the dataset is bad.
        """
        self.pictures.mkdir(parents=True, exist_ok=True)
        for row, snapshot in zip(rows, self.browsers.render(row["html"] for row in rows), strict=True):
            self.features[row["id"]] = page_features(whole(row["id"], snapshot))
            (self.pictures / f"{row['id']}.png").write_bytes(snapshot.png)
        return self.features

    def constant_scores(self, htmls: Sequence[str]) -> list[float]:
        """For each document, the sum of its overall scores against all pages rendered here; 0 where it fails."""
        totals = []
        for snapshot in self.browsers.render(htmls):
            found = None if snapshot.outcome == "failed" else page_features(snapshot)
            aspects = [score_aspects(reference, found) for reference in self.features.values() if found]
            totals.append(sum(score_groups(one)["overall"] for one in aspects))
        return totals

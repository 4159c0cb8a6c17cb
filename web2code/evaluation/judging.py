"""Renders answers and compares them with the references it is in charge of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from web2code.config import Viewport
from web2code.evaluation.answers import extract_html
from web2code.evaluation.features import PageFeatures, page_features
from web2code.evaluation.visual import FAILED, pixel_similarity, score_aspects, score_groups
from web2code.evaluation.writing import Screenshot, answers_to
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


@dataclass(frozen=True)
class Batch:
    """What came of some answers of one system."""

    pages: list[Judged]
    screenshots: list[Judged]


class Judge:
    """A few browsers, the features of the reference pages that were given to it, and the real screenshots."""

    def __init__(self, viewport: Viewport, screenshots: Sequence[Screenshot], out: Path) -> None:
        self.browsers = Browsers(viewport=viewport, layout=True).__enter__()
        self.references: dict[str, PageFeatures] = {}
        self.screenshots = {shot.id: shot.png for shot in screenshots if not shot.problem}
        self.pictures = out / "pictures"

    def close(self) -> None:
        """End the browsers."""
        self.browsers.close()

    def add_references(self, rows: Sequence[dict[str, Any]]) -> None:
        """Render reference pages, and keep their pictures and features.

        Raises:
            ValueError: a reference page does not render: the dataset is bad.
        """
        for row, snapshot in zip(rows, self.browsers.render(row["html"] for row in rows), strict=True):
            if snapshot.outcome == "failed":
                raise ValueError(f"reference page {row['id']} does not render ({snapshot.reason}): rebuild the dataset")
            self.references[row["id"]] = page_features(snapshot)
            self._keep(snapshot, "reference", row["id"])

    def constant_scores(self, htmls: Sequence[str]) -> list[float]:
        """For each page, the sum of its overall scores against all references held here."""
        return [
            sum(score_groups(aspects)["overall"] for aspects in self._against_all(snapshot))
            for snapshot in self.browsers.render(htmls)
        ]

    def judge(self, system: str, answers: dict[str, str]) -> Batch:
        """Score a system's answers to pages and screenshots, by the keys of `writing.asks`."""
        return Batch(
            self.judge_pages(system, answers_to("page", answers)),
            self.judge_screenshots(system, answers_to("screenshot", answers)),
        )

    def judge_pages(self, system: str, texts: dict[str, str]) -> list[Judged]:
        """Score answers to reference pages held here (by page), and keep their pictures."""
        judged = []
        for page, html, snapshot in self._render(texts):
            aspects = FAILED
            if snapshot.outcome == "rendered":
                aspects = score_aspects(self.references[page], page_features(snapshot))
                self._keep(snapshot, system, page)
            judged.append(Judged(page, snapshot.outcome, snapshot.reason, html, score_groups(aspects), aspects))
        return judged

    def judge_screenshots(self, system: str, texts: dict[str, str]) -> list[Judged]:
        """Score answers to real screenshots (by screenshot) on pixels alone, and keep their pictures."""
        judged = []
        for shot, html, snapshot in self._render(texts):
            similarity = 0.0
            if snapshot.outcome == "rendered":
                similarity = pixel_similarity(self.screenshots[shot], snapshot.png)
                self._keep(snapshot, f"{system}/screenshots", shot)
            judged.append(Judged(shot, snapshot.outcome, snapshot.reason, html, {"similarity": similarity}))
        return judged

    def _against_all(self, snapshot: Snapshot) -> list[dict[str, float]]:
        if snapshot.outcome == "failed":
            return []
        features = page_features(snapshot)
        return [score_aspects(reference, features) for reference in self.references.values()]

    def _render(self, texts: dict[str, str]) -> Iterator[tuple[str, str, Snapshot]]:
        """Key, document (or the text that holds none) and snapshot of every answer; equal documents render once."""
        documents = {key: extract_html(text) for key, text in texts.items()}
        distinct = list(dict.fromkeys(document for document in documents.values() if document is not None))
        snapshots = dict(zip(distinct, self.browsers.render(distinct), strict=True))
        for key, document in documents.items():
            if document is None:
                yield key, texts[key], Snapshot("failed", "the answer holds no HTML document")
            else:
                yield key, document, snapshots[document]

    def _keep(self, snapshot: Snapshot, folder: str, name: str) -> None:
        path = self.pictures / folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(snapshot.png)

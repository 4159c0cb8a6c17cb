"""Scores pages against their references, rendering both."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from web2code.config import Viewport
from web2code.evaluation.benchmarks.design2code import PLACEHOLDER
from web2code.evaluation.design2code.blocks import Block, find_blocks, merge_same_boxes
from web2code.evaluation.design2code.matching import SCORES, match
from web2code.evaluation.design2code.painting import paint
from web2code.evaluation.design2code.preparation import prepare
from web2code.evaluation.design2code.ratios import TooManyStepsError
from web2code.evaluation.ssim import page_ssim
from web2code.evaluation.tree_bleu import tree_bleu
from web2code.rendering import Browsers, Snapshot
from web2code.rendering.png import pixels_of

if TYPE_CHECKING:
    from web2code.evaluation.design2code.clip import ClipEncoder

VIEWPORT = Viewport(width=1280, height=720)
# Pairs that are rendered while one is scored.
AHEAD = 2
STRUCTURE = ("tree_bleu", "tree_precision", "ssim")


@dataclass(frozen=True)
class Page:
    """A page as the scores see it.

    Args:
        pixels: sRGB of shape (height, width, 3).
    """

    html: str
    blocks: list[Block]
    pixels: np.ndarray


@dataclass(frozen=True)
class Score:
    """Values 0 to 1 by name, all 0 where a page failed, and then why.

    `block`, `text`, `position` and `colour` are the published scores, and `elements` their mean. With CLIP there are
    `clip` and `final`, the published mean of five; without it there is neither. `tree_bleu` and `tree_precision` are
    those of `tree_bleu`, and `ssim` is `page_ssim`. `picture` is the candidate's, as PNG.
    """

    values: dict[str, float]
    reason: str = ""
    picture: bytes = field(default=b"", compare=False, repr=False)


def open_browsers(num: int, placeholder: bytes | None = None) -> Browsers:
    """Browsers that render as the benchmark does: full pages, with its picture where pages ask for it."""
    return Browsers(num, VIEWPORT, layout=False, capture="whole", pictures=pictures_of(placeholder), retry=True)


def pictures_of(placeholder: bytes | None) -> dict[str, bytes]:
    """What pages may show: the benchmark's own picture, where it is given."""
    return {PLACEHOLDER: placeholder} if placeholder else {}


class Scorer:
    """The published procedure, in browsers from `open_browsers`; with CLIP if an encoder is given."""

    def __init__(self, browsers: Browsers, clip: ClipEncoder | None = None) -> None:
        self.browsers, self.clip = browsers, clip

    def score(self, reference_html: str, candidate_html: str) -> Score:
        """The score of one page; use `scores` for many."""
        return next(self.scores([(reference_html, candidate_html)]))

    def scores(self, pairs: Iterable[tuple[str, str]]) -> Iterator[Score]:
        """A score for each (reference, candidate), in order, with a few pairs rendered ahead.

        Of pairs in a row with the same reference, that is rendered once.
        """
        pending: deque[tuple[_Reading, _Reading]] = deque()
        reading = None
        for reference, candidate in pairs:
            if reading is None or reading.html != reference:
                reading = self._read(reference)
            pending.append((reading, self._read_candidate(candidate)))
            if len(pending) > AHEAD:
                yield self._scored(*pending.popleft())
        while pending:
            yield self._scored(*pending.popleft())

    def _read_candidate(self, html: str) -> _Reading:
        try:
            return self._read(prepare(html))
        except ValueError as error:
            return _Reading(html, failure=str(error))

    def _read(self, html: str) -> _Reading:
        try:
            painted = paint(html)
        except ValueError as error:
            return _Reading(html, failure=str(error))
        snapshots = [self.browsers.submit(document) for document in (html, painted.first, painted.second)]
        return _Reading(html, painted.texts, snapshots)

    def _scored(self, reference: _Reading, candidate: _Reading) -> Score:
        for name, reading in (("reference", reference), ("candidate", candidate)):
            if reading.problem:
                return self._failed(f"the {name} was not rendered: {reading.problem}")
        picture = candidate.snapshots[0].result().png
        try:
            return Score(self._values(reference.page, candidate.page), picture=picture)
        except TooManyStepsError as error:
            found, wanted = len(candidate.page.blocks), len(reference.page.blocks)
            return self._failed(f"the candidate has {found} blocks of text and the reference {wanted}: {error}")

    def _failed(self, reason: str) -> Score:
        names = (*SCORES, "elements", *(("clip", "final") if self.clip else ()), *STRUCTURE)
        return Score(dict.fromkeys(names, 0.0), reason)

    def _values(self, reference: Page, candidate: Page) -> dict[str, float]:
        matched = match(candidate.blocks, reference.blocks)
        values = dict(matched.scores)
        values["elements"] = sum(values.values()) / len(SCORES)
        if self.clip:
            # As published, the candidate's text is taken out by joined blocks, the reference's by those it began with.
            ours = self.clip.features(candidate.pixels, matched.candidate)
            theirs = self.clip.features(reference.pixels, reference.blocks)
            values["clip"] = min(1.0, max(0.0, float(ours @ theirs)))
            values["final"] = sum(values[name] for name in (*SCORES, "clip")) / (len(SCORES) + 1)
        tree = tree_bleu(reference.html, candidate.html)
        structure = (tree.recall, tree.precision, page_ssim(reference.pixels, candidate.pixels))
        return values | dict(zip(STRUCTURE, structure, strict=True))


@dataclass(frozen=True)
class _Reading:
    """A page that is being rendered, as it is and painted twice; with `failure` it is not."""

    html: str
    texts: tuple[tuple[str, int | None], ...] = ()
    snapshots: Sequence[Future[Snapshot]] = ()
    failure: str = ""

    @cached_property
    def problem(self) -> str:
        """Why there is no page; empty where there is one."""
        reasons = (snapshot.result().reason for snapshot in self.snapshots if snapshot.result().outcome == "failed")
        return self.failure or next(reasons, "")

    @cached_property
    def page(self) -> Page:
        """The page, once it is rendered."""
        page, first, second = (pixels_of(snapshot.result().png) for snapshot in self.snapshots)
        return Page(self.html, merge_same_boxes(find_blocks(self.texts, page, first, second)), page)

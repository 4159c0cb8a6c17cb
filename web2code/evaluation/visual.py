"""WCGB visual scores without a judge: a computable stand-in for each of the benchmark's ten aspects, 0 to 10.

Aspects and groups follow the Web2Code rubric (arXiv 2406.20098): VSA is the mean of aspects 1 to 4, CAD of 5 and 6,
TCC of 7 to 9, UII is the tenth, and overall is the mean of the four groups. These scores and a judge's are never
comparable.

Identical pages score 10 everywhere. A candidate of a single colour scores 0 everywhere, unless the reference is one
too. Where the reference has nothing that an aspect could be about (no number, no control), a candidate with some
scores 0, and one without any scores 10 if it holds at least half as many boxes as the reference, less if fewer: an
almost empty page earns nothing for what it leaves out.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from scipy.optimize import linear_sum_assignment

from web2code.config import ASPECTS, GROUP_ASPECTS
from web2code.evaluation.features import GRID, PageFeatures, is_blank, lab_thumbnail, palette, visual_weight
from web2code.rendering.png import pixels_of

# Differences at which a score has fallen to 1/e of its best: Lab units, and shares of the page's width.
COLOUR_SCALE = 12.0
DISTANCE_SCALE = 0.06


def score_aspects(reference: PageFeatures, candidate: PageFeatures) -> dict[str, float]:
    """The ten aspects of a rendered candidate, 0 to 10 each."""
    if candidate.blank and not reference.blank:
        return dict.fromkeys(ASPECTS, 0.0)
    matched = match_boxes(reference.boxes, candidate.boxes)
    there = presence(reference, candidate)
    shares = {
        "layout": layout_overlap(reference, candidate),
        "alignment": alignment(reference, candidate, matched),
        "proportions": proportions(reference, candidate, matched),
        "harmony": harmony(reference.weight, candidate.weight),
        "colour_scheme": colour_scheme(reference.palette, candidate.palette),
        "aesthetics": aesthetics(reference.lab, candidate.lab),
        "fonts": overlap(reference.fonts, candidate.fonts, there),
        "text": overlap(reference.words, candidate.words, there),
        "numbers": overlap(reference.numbers, candidate.numbers, there),
        "interface": overlap(reference.controls, candidate.controls, there),
    }
    return {name: 10.0 * share for name, share in shares.items()}


def score_groups(aspects: dict[str, float]) -> dict[str, float]:
    """Group scores and overall (the mean of the groups) from the ten aspects."""
    groups = {name: sum(aspects[part] for part in parts) / len(parts) for name, parts in GROUP_ASPECTS.items()}
    return {"overall": sum(groups.values()) / len(groups), **groups}


def layout_overlap(reference: PageFeatures, candidate: PageFeatures) -> float:
    """Aspect 1: overlap of where blocks, texts and controls lie (soft IoU over the grid, classes weighted by area)."""
    first, second = _pad(reference.coverage, candidate.coverage, axis=1)
    union = np.maximum(first, second).sum(axis=(1, 2))
    return float(np.minimum(first, second).sum() / union.sum()) if union.sum() else 1.0


def match_boxes(reference: np.ndarray, candidate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of boxes of one class with the smallest total distance of their edges: two arrays of row numbers."""
    if not len(reference) or not len(candidate):
        return np.array([], int), np.array([], int)
    cost = np.abs(edges(reference)[:, None] - edges(candidate)[None]).sum(axis=-1)
    cost = cost + 1e3 * (reference[:, None, 0] != candidate[None, :, 0])
    rows, columns = linear_sum_assignment(cost)
    same = reference[rows, 0] == candidate[columns, 0]
    return rows[same], columns[same]


def edges(boxes: np.ndarray) -> np.ndarray:
    """Left, top, right and bottom of (class, x, y, width, height) rows."""
    return np.concatenate([boxes[:, 1:3], boxes[:, 1:3] + boxes[:, 3:5]], axis=1)


def alignment(reference: PageFeatures, candidate: PageFeatures, matched: tuple[np.ndarray, np.ndarray]) -> float:
    """Aspect 2: how close the edges of matched boxes are; boxes without a partner count as nothing."""
    rows, columns = matched
    distance = np.abs(edges(reference.boxes)[rows] - edges(candidate.boxes)[columns]).mean(axis=1)
    return _matched_share(np.exp(-distance / DISTANCE_SCALE).sum(), reference, candidate)


def proportions(reference: PageFeatures, candidate: PageFeatures, matched: tuple[np.ndarray, np.ndarray]) -> float:
    """Aspect 3: ratios of widths and heights of matched boxes, times the ratio of the pages' heights."""
    rows, columns = matched
    first, second = reference.boxes[rows, 3:5], candidate.boxes[columns, 3:5]
    ratios = np.minimum(first, second) / np.maximum(np.maximum(first, second), 1e-9)
    page = min(reference.height, candidate.height) / max(reference.height, candidate.height)
    return page * _matched_share(ratios.prod(axis=1).sum(), reference, candidate)


def harmony(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Aspect 4: correlation of where visual weight lies, from two maps of it."""
    first, second = _pad(reference[None], candidate[None], axis=1)
    if np.array_equal(first, second):
        return 1.0
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return max(0.0, float(np.corrcoef(first.ravel(), second.ravel())[0, 1]))


def colour_scheme(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Aspect 5: distance of the distributions of colours (Wasserstein along L, a and b), from two palettes."""
    return math.exp(-float(np.linalg.norm(np.abs(reference - candidate).mean(axis=0))) / COLOUR_SCALE)


def aesthetics(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Aspect 6: how far the page has the right colour in the right place, from the Lab distance of each cell."""
    rows, shared = max(len(reference), len(candidate)), min(len(reference), len(candidate))
    distance = np.linalg.norm(reference[:shared] - candidate[:shared], axis=-1)
    return float(np.exp(-distance / COLOUR_SCALE).sum() / (rows * GRID))


def overlap(reference: Counter, candidate: Counter, if_empty: float) -> float:
    """Aspects 7 to 10: F1 of two multisets, or `if_empty` where both are empty."""
    total = reference.total() + candidate.total()
    return 2 * (reference & candidate).total() / total if total else if_empty


def presence(reference: PageFeatures, candidate: PageFeatures) -> float:
    """How far a candidate is a page at all: 1 from half the reference's number of boxes on."""
    return min(1.0, 2 * len(candidate.boxes) / len(reference.boxes)) if len(reference.boxes) else 1.0


def pixel_similarity(reference: bytes, candidate: bytes) -> float:
    """How much a rendered page looks like a screenshot, 0 to 10, from pixels alone.

    The mean of aspects 4 to 6; pictures are compared at equal width. A candidate of a single colour scores 0.
    """
    pictures = [pixels_of(reference), pixels_of(candidate)]
    if is_blank(pictures[1]) and not is_blank(pictures[0]):
        return 0.0
    first, second = map(lab_thumbnail, pictures)
    shares = (
        harmony(visual_weight(first), visual_weight(second)),
        colour_scheme(palette(first), palette(second)),
        aesthetics(first, second),
    )
    return 10.0 * sum(shares) / len(shares)


def _matched_share(total: float, reference: PageFeatures, candidate: PageFeatures) -> float:
    count = len(reference.boxes) + len(candidate.boxes)
    return float(2 * total / count) if count else 1.0


def _pad(first: np.ndarray, second: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    rows = max(first.shape[axis], second.shape[axis])
    if first.shape[axis] == second.shape[axis]:
        return first, second

    def padded(values: np.ndarray) -> np.ndarray:
        widths = [(0, rows - values.shape[axis]) if i == axis else (0, 0) for i in range(values.ndim)]
        return np.pad(values, widths)

    return padded(first), padded(second)

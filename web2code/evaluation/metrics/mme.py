"""MME (arXiv 2306.13394): points of the pairs of questions about a picture, summed over categories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from web2code.evaluation.measure import ratio

PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
)  # fmt: skip
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
CATEGORY_POINTS = 200.0


def pair_points(correct: Sequence[float]) -> float:
    """Accuracy times 100, and 100 more where all of a picture's questions are answered right."""
    return sum(correct) / len(correct) * 100.0 + (sum(correct) == len(correct)) * 100.0


def total_points(sums: np.ndarray) -> np.ndarray:
    """Sum over categories of the mean over pairs, of (points, pairs) for each category in the last axis.

    Added up from the first category to the last, as the published script does, which decides the last bit.
    """
    return np.asarray(sum(ratio(sums[..., start : start + 2]) for start in range(0, sums.shape[-1], 2)))

"""Which scores are kept: a window of percentiles or of ratios, and how much each window would keep."""

from __future__ import annotations

import numpy as np

from web2code.config import SelectionConfig

POINTS = 101


def keep(values: np.ndarray, config: SelectionConfig) -> np.ndarray:
    """True for every score inside the window, its ends included; a missing score (NaN) is never kept."""
    low, high = config.window
    known = values[~np.isnan(values)]
    if config.by == "percentile" and len(known):
        low, high = np.percentile(known, [low, high])
    with np.errstate(invalid="ignore"):
        return (values >= low) & (values <= high)


def kept_curve(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(thresholds, share of samples whose score is at most the threshold): what a window from below would keep."""
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return np.zeros(0), np.zeros(0)
    thresholds = np.linspace(known[0], known[-1], POINTS)
    return thresholds, np.searchsorted(known, thresholds, side="right") / len(values)

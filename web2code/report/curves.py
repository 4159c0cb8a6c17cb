"""A page with the curve of each score: what share of the samples a threshold would keep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from web2code.config import SelectionConfig
from web2code.report.html import write_page
from web2code.report.plots import share_curve
from web2code.selection.window import keep, kept_curve


def write_curves(out: Path, config: SelectionConfig, scores: Mapping[str, np.ndarray]) -> Path:
    """Write the page; `scores` are the samples' scores by name, NaN where there is none."""
    curves = []
    for name, values in scores.items():
        thresholds, shares = kept_curve(values)
        if not len(thresholds):
            continue
        kept = values[keep(values, config)] if name == config.keep else values[:0]
        window = (float(kept.min()), float(kept.max())) if len(kept) else (thresholds[0], thresholds[0])
        plot = share_curve(thresholds.tolist(), shares.tolist(), window, f"share of samples by {name}")
        quartiles = np.percentile(values[~np.isnan(values)], [5, 25, 50, 75, 95])
        curves.append((name, plot, quartiles.tolist(), len(kept), int((~np.isnan(values)).sum())))
    write_page(out, "curves.html.j2", config=config, curves=curves)
    return out

"""Structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004, IEEE TIP 13:600-612), for pictures and for pages."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

SIGMA, RADIUS = 1.5, 5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
# The authors reduce a picture until its shorter side has about this many pixels: the scale at which it is looked at.
SHORT_SIDE = 256


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """The mean SSIM index (equations 13 and 17) of two grey pictures, 0 to 255, of one shape.

    Windows are 11 by 11 Gaussians of deviation 1.5 that lie within the picture.

    Raises:
        ValueError: the shapes differ, or a side is shorter than a window.
    """
    if first.shape != second.shape or min(first.shape) <= 2 * RADIUS:
        raise ValueError(f"SSIM needs two pictures of one shape, at least 11 by 11, not {first.shape}, {second.shape}")
    a, b = first.astype(np.float64), second.astype(np.float64)
    mean_a, mean_b = _window_means(a), _window_means(b)
    variances = _window_means(a * a) - mean_a**2 + _window_means(b * b) - mean_b**2
    covariance = _window_means(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return float((luminance * (2 * covariance + C2) / (variances + C2)).mean())


def page_ssim(reference: np.ndarray, candidate: np.ndarray) -> float:
    """How far a rendered page has the structure of another, 0 to 1.

    Pages are laid on each other at the upper left corner and never resized: what only one of them covers counts as
    unlike. As most windows of any two pages are white in both, the index is weighted by how much of the reference's
    amount of structure the candidate has (`num_structured`): an empty page scores 0.

    Args:
        reference: sRGB of shape (height, width, 3), uint8; as is `candidate`.
    """
    factor = max(1, round(min(reference.shape[:2]) / SHORT_SIDE))
    first, second = _grey(reference, factor), _grey(candidate, factor)
    height, width = np.minimum(first.shape, second.shape)
    if min(height, width) <= 2 * RADIUS:
        return 0.0
    shared = height * width / np.prod(np.maximum(first.shape, second.shape))
    wanted = num_structured(first)
    weight = min(1.0, num_structured(second) / wanted) if wanted else 1.0
    return max(0.0, float(weight * shared * ssim(first[:height, :width], second[:height, :width])))


def num_structured(grey: np.ndarray) -> int:
    """The number of windows with a variance that outweighs the index's own constant."""
    values = grey.astype(np.float64)
    return int((_window_means(values * values) - _window_means(values) ** 2 > C2).sum())


def _window_means(values: np.ndarray) -> np.ndarray:
    return gaussian_filter(values, SIGMA, radius=RADIUS)[RADIUS:-RADIUS, RADIUS:-RADIUS]


def _grey(pixels: np.ndarray, factor: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).convert("L").reduce(factor))

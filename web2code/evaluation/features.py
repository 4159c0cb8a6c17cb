"""What the visual scores look at, computed once for each page."""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from PIL import Image

from web2code.rendering.snapshot import Element, Snapshot

GRID = 32
MAX_ROWS = 4 * GRID
CLASSES = ("block", "text", "control")
CONTROLS = {"input", "button", "select", "textarea", "a", "nav", "form", "option", "label"}
BLANK_STD = 1.0


@dataclass(frozen=True)
class PageFeatures:
    """Pixels and boxes of a rendered page; lengths are in units of the page's width.

    `lab` is the picture in CIE Lab at `GRID` columns; `coverage` holds, for each of `CLASSES`, the share of every grid
    cell that boxes of the class cover; `boxes` are (class, x, y, width, height).
    """

    lab: np.ndarray
    coverage: np.ndarray
    boxes: np.ndarray
    height: float
    fonts: Counter
    words: Counter
    numbers: Counter
    controls: Counter
    blank: bool


def page_features(snapshot: Snapshot) -> PageFeatures:
    """The features of a page that was rendered with its layout."""
    lab, blank = lab_thumbnail(snapshot.png)
    boxes = np.array([_box(element, snapshot.width) for element in snapshot.elements if _class(element)])
    boxes = boxes.reshape(-1, 5)
    texts = [element for element in snapshot.elements if element.tag == "#text"]
    tokens = [token.lower() for element in texts for token in element.text.split()]
    fonts: Counter = Counter()
    for element in texts:
        size = round(2 * np.log2(max(element.font_size, 1.0)))
        fonts[element.font_family, element.font_weight >= 600, size] += len(element.text)
    controls = Counter(
        f"{element.tag} {element.input_type}".strip() for element in snapshot.elements if element.tag in CONTROLS
    )
    return PageFeatures(
        lab=lab,
        coverage=np.stack([coverage(boxes[boxes[:, 0] == number], len(lab)) for number in range(len(CLASSES))]),
        boxes=boxes,
        height=snapshot.height / snapshot.width,
        fonts=fonts,
        words=Counter(re.findall(r"[^\W\d_]+", " ".join(tokens))),
        numbers=Counter(re.findall(r"[$€£#@%+]?\d[\d.,:/-]*%?|\S+@\S+", " ".join(tokens))),
        controls=controls,
        blank=blank and not tokens,
    )


def lab_thumbnail(png: bytes) -> tuple[np.ndarray, bool]:
    """The picture in CIE Lab at `GRID` columns, and whether it is of one colour."""
    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB")
    rows = int(np.clip(round(GRID * image.height / image.width), 1, MAX_ROWS))
    pixels = np.asarray(image.resize((GRID, rows), Image.Resampling.BOX))
    extremes = image.getextrema()
    return to_lab(pixels), all(high - low < BLANK_STD for low, high in extremes)


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB (0 to 255) to CIE Lab under D65."""
    values = rgb.astype(np.float64) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                       [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip
    xyz = linear @ matrix.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def coverage(boxes: np.ndarray, rows: int) -> np.ndarray:
    """Share of every grid cell that lies under some box (the largest share of one box), of shape (rows, GRID)."""
    covered = np.zeros((rows, GRID))
    for _, x, y, width, height in boxes * np.array([1, GRID, GRID, GRID, GRID]):
        across = np.clip(np.minimum(np.arange(GRID) + 1, x + width) - np.maximum(np.arange(GRID), x), 0, 1)
        down = np.clip(np.minimum(np.arange(rows) + 1, y + height) - np.maximum(np.arange(rows), y), 0, 1)
        covered = np.maximum(covered, np.outer(down, across))
    return covered


def _class(element: Element) -> str | None:
    if element.tag == "#text":
        return "text"
    if element.tag in ("input", "button", "select", "textarea"):
        return "control"
    painted = element.background[3] > 0 or element.tag in ("img", "table", "hr")
    return "block" if painted and element.tag not in ("html", "body") else None


def _box(element: Element, width: int) -> tuple[float, ...]:
    number = CLASSES.index(str(_class(element)))
    return (number, *(length / width for length in element.box))

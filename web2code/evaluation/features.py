"""What the visual scores look at, computed once for each page."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from web2code.rendering.png import pixels_of
from web2code.rendering.snapshot import Element, Snapshot

GRID = 32
MAX_ROWS = 4 * GRID
# The largest boxes of a page stand for all of them: the cost of matching grows with the cube of their number.
MAX_BOXES = 256
# Smaller differences of a channel (0 to 255) are not seen; text in the colour of its background leaves such traces.
VISIBLE_STEP = 8
# So many times the page's pixels are looked at for texts that can be seen. Texts hardly overlap, so that a page takes
# once; of one that piles up blank boxes without end, what comes later is not seen.
MAX_LOOKS = 16
NUMBER = re.compile(r"[$€£#@%+]?\d[\d.,:/-]*%?")
CLASSES = ("block", "text", "control")
CONTROLS = {"input", "button", "select", "textarea", "a", "nav", "form", "option", "label"}


@dataclass(frozen=True)
class PageFeatures:
    """Pixels and boxes of a rendered page; lengths are in units of the page's width.

    `lab` is the picture in CIE Lab at `GRID` columns, `palette` the quantiles of its colours, and `weight` how far each
    cell is from the page's commonest colour. `coverage` holds, for each of `CLASSES`, the share of every grid cell that
    boxes of the class cover. `boxes` are (class, x, y, width, height). `blank` says that all of it has one colour.
    """

    lab: np.ndarray
    palette: np.ndarray
    weight: np.ndarray
    coverage: np.ndarray
    boxes: np.ndarray
    height: float
    fonts: Counter
    words: Counter
    numbers: Counter
    controls: Counter
    blank: bool


def page_features(snapshot: Snapshot) -> PageFeatures:
    """The features of a page that was rendered with its layout; text that cannot be told from what it is on is none."""
    pixels = pixels_of(snapshot.png)
    lab = lab_thumbnail(pixels)
    elements = visible_elements(snapshot.elements, pixels)
    boxes = np.array([_box(element, snapshot.width) for element in elements if _class(element)]).reshape(-1, 5)
    texts = [element for element in elements if element.tag == "#text"]
    words = " ".join(element.text.lower() for element in texts)
    fonts: Counter = Counter()
    for element in texts:
        size = round(2 * np.log2(max(element.font_size, 1.0)))
        fonts[element.font_family, element.font_weight >= 600, size] += len(element.text)
    controls = Counter(f"{element.tag} {element.input_type}".strip() for element in elements if element.tag in CONTROLS)
    return PageFeatures(
        lab=lab,
        palette=palette(lab),
        weight=visual_weight(lab),
        coverage=np.stack([coverage(boxes[boxes[:, 0] == number], len(lab)) for number in range(len(CLASSES))]),
        boxes=_largest(boxes),
        height=snapshot.height / snapshot.width,
        fonts=fonts,
        words=Counter(re.findall(r"[^\W\d_]+", words)),
        numbers=Counter(numbers_in(words)),
        controls=controls,
        blank=is_blank(pixels),
    )


def visible_elements(elements: Sequence[Element], pixels: np.ndarray) -> list[Element]:
    """The elements without those texts that cannot be told from what they are on."""
    looks = MAX_LOOKS * pixels.size
    visible = []
    for element in elements:
        if element.tag == "#text":
            seen = _part(element, pixels)
            looks -= seen.size
            if not seen.size or looks < 0 or is_blank(seen):
                continue
        visible.append(element)
    return visible


def numbers_in(words: str) -> Iterator[str]:
    """The numbers of a text, and the addresses with an `@` in them, each to the end of its word."""
    for word in words.split():
        # One expression for both would look through a word without an `@` from each of its letters.
        place, sign = 0, word.rfind("@", 1, -1)
        while number := (NUMBER.match if place < sign else NUMBER.search)(word, place):
            yield number[0]
            place = number.end()
        if place < sign:
            yield word[place:]


def is_blank(pixels: np.ndarray) -> bool:
    """Whether all pixels have one colour, as far as anyone could see."""
    # Nearly every page is settled by a few of its pixels.
    return not _varies(pixels[::16, ::16]) and not _varies(pixels)


def _varies(pixels: np.ndarray) -> bool:
    # Whole rows at once: numpy takes both axes together twenty times as slowly.
    low, high = pixels.min(axis=0).min(axis=0).astype(int), pixels.max(axis=0).max(axis=0).astype(int)
    return bool((high - low >= VISIBLE_STEP).any())


def lab_thumbnail(pixels: np.ndarray) -> np.ndarray:
    """The picture in CIE Lab, scaled to `GRID` columns."""
    height, width, _ = pixels.shape
    rows = int(np.clip(round(GRID * height / width), 1, MAX_ROWS))
    return to_lab(np.asarray(Image.fromarray(pixels).resize((GRID, rows), Image.Resampling.BOX)))


def palette(lab: np.ndarray) -> np.ndarray:
    """101 quantiles of each Lab channel, wherever the colours lie."""
    return np.quantile(lab.reshape(-1, 3), np.linspace(0, 1, 101), axis=0)


def visual_weight(lab: np.ndarray) -> np.ndarray:
    """How far each cell is from the commonest colour, in Lab units."""
    colours, counts = np.unique(np.round(lab.reshape(-1, 3)), axis=0, return_counts=True)
    return np.linalg.norm(lab - colours[counts.argmax()], axis=-1)


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


def _part(element: Element, pixels: np.ndarray) -> np.ndarray:
    x, y, width, height = element.box
    return pixels[max(0, int(y)) : math.ceil(y + height), max(0, int(x)) : math.ceil(x + width)]


def _largest(boxes: np.ndarray) -> np.ndarray:
    kept = np.argsort(-boxes[:, 3] * boxes[:, 4], kind="stable")[:MAX_BOXES]
    return boxes[np.sort(kept)]

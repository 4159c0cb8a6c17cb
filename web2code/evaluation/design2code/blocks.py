"""The text blocks of a page, found by where the pixels of its painted copies changed as its text colours did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from web2code.evaluation.design2code.painting import GRID_START, NUM_COLOURS, SHIFT, TOLERANCE

SHIFT_TOLERANCE = 8

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Block:
    """A text of a page, the box of its pixels (x, y, width, height) in shares of the page, and their mean colour."""

    text: str
    box: Box
    colour: tuple[float, ...]

    @property
    def area(self) -> float:
        """The share of the page that the box covers."""
        return self.box[2] * self.box[3]

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the box."""
        return self.box[0] + self.box[2] / 2, self.box[1] + self.box[3] / 2


def find_blocks(
    texts: Sequence[tuple[str, int | None]], page: np.ndarray, first: np.ndarray, second: np.ndarray
) -> list[Block]:
    """The blocks of a page: one for each of its texts of whose colour there are pixels; one box may have several.

    Args:
        texts: those of `Painted`.
        page: its picture; as `first` and `second`, those of its painted copies, sRGB of shape (height, width, 3).
    """
    if first.shape != second.shape:
        return []
    height, width, _ = first.shape
    # Text pixels are few, and every channel of theirs changes: most others are left out by one.
    changed = np.flatnonzero(first[..., 0] != second[..., 0])
    before, after = first.reshape(-1, 3)[changed], second.reshape(-1, 3)[changed]
    shifted = before + np.uint8(SHIFT)
    # The colours' places on the grid, and how far beyond the first one that counts for each a pixel is.
    places = before - np.uint8(GRID_START - TOLERANCE)
    is_text = (np.maximum(shifted, after) - np.minimum(shifted, after) <= SHIFT_TOLERANCE).all(axis=1)
    is_text &= ((places & 15) <= 2 * TOLERANCE).all(axis=1)
    pixels = changed[is_text]
    red, green, blue = (places[is_text] >> 4).astype(int).T
    y, x = np.divmod(pixels, width)
    if len(pixels) and (y.max() >= page.shape[0] or x.max() >= page.shape[1]):
        return []  # as published: the painted page has text where the page itself has nothing
    found = _boxes_and_colours(red << 8 | green << 4 | blue, x, y, page)
    return [
        Block(text.lower(), (left / width, top / height, across / width, down / height), colour)
        for text, number in texts
        for (left, top, across, down), colour in found.get(number, ())
    ]


def merge_same_boxes(blocks: Sequence[Block]) -> list[Block]:
    """The blocks with the texts of those of one box joined, in the order of the boxes' first texts."""
    texts: dict[Box, list[str]] = {}
    colours: dict[Box, tuple[float, ...]] = {}
    for block in blocks:
        if block.box in texts:
            pairs = zip(colours[block.box], block.colour, strict=True)
            colours[block.box] = tuple((a + b) / 2 for a, b in pairs)
        else:
            texts[block.box], colours[block.box] = [], block.colour
        texts[block.box].append(block.text)
    return [Block(" ".join(texts[box]), box, colours[box]) for box in texts]


def _boxes_and_colours(
    numbers: np.ndarray, x: np.ndarray, y: np.ndarray, page: np.ndarray
) -> dict[int | None, list[tuple[tuple[int, ...], tuple[int, ...]]]]:
    """For each colour number the left, top, width and height of its pixels, and their mean colour in the page."""
    counts = np.bincount(numbers, minlength=NUM_COLOURS)
    edges = np.full((4, NUM_COLOURS), np.iinfo(int).max)
    for edge, values in zip(edges, (x, y, -x, -y), strict=True):
        np.minimum.at(edge, numbers, values)
    seen = page[y, x]
    sums = np.stack([np.bincount(numbers, seen[:, channel], NUM_COLOURS) for channel in range(3)], axis=1)
    found: dict[int | None, list[tuple[tuple[int, ...], tuple[int, ...]]]] = {}
    for number in np.flatnonzero(counts).tolist():
        left, top, right, bottom = (int(edge[number]) for edge in edges)
        mean = tuple(int(value) for value in sums[number] / counts[number])
        found[number] = [((left, top, 1 - right - left, 1 - bottom - top), mean)]
    return found

"""A quicker stand-in for Design2Code's scores that takes text boxes from the layout, not from pixels."""

from __future__ import annotations

from web2code.evaluation.design2code.blocks import Block, merge_same_boxes
from web2code.evaluation.design2code.matching import match
from web2code.rendering import Element, Snapshot


def design2code_layout(reference: Snapshot, candidate: Snapshot) -> dict[str, float]:
    """Block, text, position and colour scores, 0 to 1, of two pages that were rendered with their layout.

    One rendering of each page where the published procedure needs three. Boxes are those of lines, not of ink, and text
    that something covers counts, so the figures are near the published ones and never to be compared with them. A page
    that failed scores 0.
    """
    ours, theirs = (merge_same_boxes(layout_blocks(snapshot)) for snapshot in (candidate, reference))
    return match(ours, theirs).scores


def layout_blocks(snapshot: Snapshot) -> list[Block]:
    """The texts of a page with their boxes within it, in document order."""
    texts = [element for element in snapshot.elements if element.tag == "#text"]
    return [Block(text.text.lower(), _box(text, snapshot), text.colour[:3]) for text in texts]


def _box(text: Element, snapshot: Snapshot) -> tuple[float, float, float, float]:
    x, y, width, height = text.box
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(float(snapshot.width), x + width), min(float(snapshot.height), y + height)
    return (
        left / snapshot.width,
        top / snapshot.height,
        (right - left) / snapshot.width,
        (bottom - top) / snapshot.height,
    )

"""What is seen of a page: its picture and the boxes of its elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

STYLES = ("background-color", "color", "font-size", "font-weight", "font-family", "display", "visibility", "opacity")


@dataclass(frozen=True)
class Element:
    """A laid-out element, or with tag `#text` a run of text under its parent's style.

    `box` is (x, y, width, height) in CSS pixels; colours are (red, green, blue, alpha), 0 to 255 and 0 to 1.
    """

    tag: str
    box: tuple[float, float, float, float]
    text: str
    background: tuple[float, float, float, float]
    colour: tuple[float, float, float, float]
    font_size: float
    font_weight: int
    font_family: str
    input_type: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The outcome of rendering one page; `png` and `elements` are empty where it failed."""

    outcome: Literal["rendered", "failed"]
    reason: str = ""
    png: bytes = b""
    width: int = 0
    height: int = 0
    elements: tuple[Element, ...] = ()


def count_boxes(answer: dict[str, Any]) -> int:
    """Boxes in the layout of a `DOMSnapshot.captureSnapshot` answer, those of frames included."""
    return sum(len(document["layout"]["nodeIndex"]) for document in answer["documents"])


def parse_elements(
    answer: dict[str, Any], page_width: float, page_height: float, top: float = 0
) -> tuple[Element, ...]:
    """The visible elements of a `DOMSnapshot.captureSnapshot` answer made with `STYLES`, in document order.

    What is hidden, fully transparent (itself or by what it lies in) or outside the picture is not visible. The picture
    begins `top` pixels down the page, and boxes are measured from there.
    """
    strings, document = answer["strings"], answer["documents"][0]
    nodes, layout = document["nodes"], document["layout"]
    styles_of: dict[int, list[str]] = {}
    opacity_of: dict[int, float] = {}
    elements = []
    for position, node in enumerate(layout["nodeIndex"]):
        own = [strings[index] for index in layout["styles"][position]]
        parent = nodes["parentIndex"][node]
        styles = own or styles_of.get(parent, [])
        styles_of[node] = styles
        opacity_of[node] = opacity_of.get(parent, 1.0) * (float(own[7]) if own else 1.0)
        x, y, width, height = layout["bounds"][position]
        y -= top
        outside = x >= page_width or y >= page_height or x + width <= 0 or y + height <= 0
        if len(styles) < len(STYLES) or styles[6] != "visible" or width * height == 0:
            continue
        if outside or opacity_of[node] == 0:
            continue
        index = layout["text"][position]
        text = strings[index].strip() if index >= 0 else ""
        tag = strings[nodes["nodeName"][node]].lower()
        if tag == "#text" and not text:
            continue
        elements.append(
            Element(
                tag=tag,
                box=(x, y, width, height),
                text=text if tag == "#text" else "",
                background=parse_colour(styles[0]),
                colour=parse_colour(styles[1]),
                font_size=float(styles[2].removesuffix("px")),
                font_weight=int(float(styles[3])),
                font_family=styles[4].split(",")[0].strip("\"' ").lower(),
                input_type=_attribute(nodes["attributes"][node], strings, "type") if tag == "input" else "",
            )
        )
    return tuple(elements)


def parse_colour(css: str) -> tuple[float, float, float, float]:
    """A computed `rgb()` or `rgba()` colour; anything else counts as transparent."""
    name, _, rest = css.partition("(")
    if name not in ("rgb", "rgba"):
        return (0.0, 0.0, 0.0, 0.0)
    values = [float(part) for part in rest.rstrip(")").replace("/", ",").replace(" ", ",").split(",") if part]
    red, green, blue, *alpha = values
    return (red, green, blue, alpha[0] if alpha else 1.0)


def _attribute(pairs: list[int], strings: list[str], name: str) -> str:
    values = dict(zip(pairs[::2], pairs[1::2], strict=True))
    return next((strings[value].lower() for key, value in values.items() if strings[key] == name), "")

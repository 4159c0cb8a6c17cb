"""A page with a text colour of its own for each element, which tells whose text a pixel is."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageColor

from web2code.evaluation.html_tree import Element, elements, first, parse, serialise

TEXT_TAGS = frozenset(
    ("p", "h1", "h2", "h3", "h4", "h5", "h6", "div", "span", "a", "b", "li", "table", "td", "th", "button", "footer",
     "header", "figcaption")
)  # fmt: skip
# Colour number n is (n // 256, n // 16 % 16, n % 16) on a grid of each channel.
GRID_START, GRID_STEP = 10, 16
NUM_COLOURS = 16**3
SHIFT = 50
TOLERANCE = 4
CLEAR = "background-color: rgba(255, 255, 255, 0.0) !important"


@dataclass(frozen=True)
class Painted:
    """Two documents that differ by `SHIFT` in each channel of each text colour.

    Args:
        texts: each text of the body, stripped, with the number of its colour; None where it is in none of them.
    """

    first: str
    second: str
    texts: tuple[tuple[str, int | None], ...]


def paint(html: str) -> Painted:
    """Colour the texts of a page.

    Raises:
        ValueError: it has more than `NUM_COLOURS` elements to colour, or cannot be parsed.
    """
    root = parse(html)
    coloured = [element for element in elements(root) if element.name in TEXT_TAGS]
    if len(coloured) > NUM_COLOURS:
        raise ValueError(
            f"the page has {len(coloured)} elements of text, more than the {NUM_COLOURS} colours there are"
        )
    # The published order, from the lightest: on white it has a say in which pixels of a letter's edge count.
    numbers = {element: NUM_COLOURS - 1 - place for place, element in enumerate(coloured)}
    return Painted(
        first=serialise(root, lambda element: _attributes(element, numbers.get(element), 0)),
        second=serialise(root, lambda element: _attributes(element, numbers.get(element), SHIFT)),
        texts=tuple(_texts(root, numbers)),
    )


def colour(number: int) -> tuple[int, int, int]:
    """The red, green and blue of a colour number."""
    return tuple(GRID_START + GRID_STEP * place for place in (number >> 8, number >> 4 & 15, number & 15))  # type: ignore[return-value]


def _attributes(element: Element, number: int | None, shift: int) -> dict[str, str]:
    if element.name == "meta":  # never drawn, and the renderer knows the harmless ones as they are usually written
        return element.attributes
    replaced: tuple[str, ...] = ("background-color",)
    new = [CLEAR]
    if number is not None:
        channels = "".join(f"{(channel + shift) % 256:02X}" for channel in colour(number))
        replaced += ("color", "opacity")
        new += [f"color: #{channels} !important", "opacity: 1.0 !important"]
    # As published, a semicolon within a declaration (as in a data URL) ends it too.
    styles = element.attributes.get("style", "").split(";")
    kept = [style for style in styles if style.strip() and not style.strip().startswith(replaced)]
    return element.attributes | {"style": "; ".join([*kept, *new]).strip()}


def _texts(root: Element, numbers: dict[Element, int]) -> list[tuple[str, int | None]]:
    texts: list[tuple[str, int | None]] = []
    todo: list[tuple[object, int | None]] = [(first(root, "body"), None)]
    while todo:
        node, number = todo.pop()
        if isinstance(node, str) and node.strip():
            texts.append((node.strip(), number))
        elif isinstance(node, Element):
            number = numbers[node] if node in numbers else _own_number(node, number)
            todo += [(child, number) for child in reversed(node.children)]
    return texts


def _own_number(element: Element, inherited: int | None) -> int | None:
    """The number of the colour that an element outside `TEXT_TAGS` is looked for in, because of its own style."""
    styles = [style for style in element.attributes.get("style", "").split(";") if "color" in style]
    styles = [style for style in styles if "background-color" not in style and ":" in style]
    value = styles[-1].split(":")[1].strip().replace(" !important", "") if styles else ""
    if not value:
        return inherited
    try:
        if value.startswith("#"):
            rgb: tuple[int, ...] = tuple(int(value.lstrip("#")[place : place + 2], 16) for place in (0, 2, 4))
        elif value.startswith("rgb"):
            rgb = tuple(int(part) for part in value[4:-1].split(","))
        else:
            rgb = ImageColor.getrgb(value)
    except ValueError:
        return None if value.startswith("#") else inherited
    return _number_near(rgb)


def _number_near(rgb: tuple[int, ...]) -> int | None:
    places = [divmod(channel - GRID_START + TOLERANCE, GRID_STEP) for channel in rgb[:3]]
    if len(places) < 3 or any(place not in range(16) or rest > 2 * TOLERANCE for place, rest in places):
        return None
    red, green, blue = (place for place, _ in places)
    return red << 8 | green << 4 | blue

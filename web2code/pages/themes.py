"""Colours and fonts of generated pages, chosen to stay apart when a screenshot is scaled down."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Colour:
    """A named colour; text on a `dark` one is white, on any other nearly black."""

    name: str
    hex: str
    dark: bool


ACCENTS = (
    Colour("red", "#d33", True),
    Colour("orange", "#f83", False),
    Colour("yellow", "#fc3", False),
    Colour("green", "#2a5", True),
    Colour("lime", "#ad4", False),
    Colour("teal", "#099", True),
    Colour("blue", "#37e", True),
    Colour("navy", "#136", True),
    Colour("purple", "#84b", True),
    Colour("pink", "#f8b", False),
    Colour("brown", "#853", True),
    Colour("gray", "#789", True),
)
PAPERS = (
    Colour("white", "#fff", False),
    Colour("white", "#eee", False),
    Colour("cream", "#fec", False),
    Colour("mint", "#cfe", False),
    Colour("sky", "#cef", False),
    Colour("rose", "#fdd", False),
)
NIGHTS = (
    Colour("black", "#111", True),
    Colour("black", "#333", True),
    Colour("navy", "#124", True),
    Colour("plum", "#314", True),
)
FONTS = ("arial", "serif", "monospace")


@dataclass(frozen=True)
class Theme:
    """The colours and the font of one page."""

    background: Colour
    accents: tuple[Colour, ...]
    surface: Colour
    font: str
    size: int

    def paint(self, colour: Colour) -> str:
        """The declarations that fill a block with `colour` and keep its text readable."""
        if colour.dark == self.background.dark:
            return f"background:{colour.hex}"
        return f"background:{colour.hex};color:{'#fff' if colour.dark else '#111'}"


def draw_theme(rng: Random) -> Theme:
    """A page's theme: a light background in two of three cases, else a dark or, seldom, a strong one."""
    background = rng.choice(rng.choices((PAPERS, NIGHTS, ACCENTS), weights=(62, 28, 10))[0])
    accents = [colour for colour in ACCENTS if colour.name != background.name]
    surfaces = [colour for colour in PAPERS[:1] + PAPERS[2:] if colour.name != background.name]
    return Theme(
        background=background,
        accents=tuple(rng.sample(accents, 3)),
        surface=rng.choice(surfaces),
        font=rng.choices(FONTS, weights=(60, 25, 15))[0],
        size=rng.choice((16, 20)),
    )

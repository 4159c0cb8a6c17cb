"""Instructions of code pairs by the paper's two steps: an ask from a pool, then a sentence on the style of the code."""

from __future__ import annotations

from random import Random
from typing import Literal

Style = Literal["modern", "bootstrap"]

# The asks of sources that have none of their own.
CODE_ASK = "Write the HTML of this page."
CAPTION_ASK = "Describe this page in one sentence."
YES_NO_ASK = "Answer yes or no."
ASKS = (
    "Write the HTML code of the web page in this screenshot.",
    "Turn the design in the picture into a complete HTML document.",
    "Recreate the page that you see as HTML.",
    "Please produce the HTML behind this web page.",
    "Here is a screenshot of a site. Give me HTML that looks the same.",
    "Build this web page: return one self-contained HTML file.",
    "What HTML would render as shown in the image?",
    "Code the layout, the texts and the colours of this page in HTML.",
    "Reproduce the pictured page as closely as you can in HTML.",
    "I need the source of a page that looks like this. Write it in HTML.",
    "Translate this screenshot into HTML markup with its styles.",
    "Write markup that a browser would show exactly like this.",
)
STYLES: dict[Style, tuple[str, ...]] = {
    "modern": (
        "Keep to a modern look in the manner of material design: clear surfaces, depth and spacing.",
        "Style it as current material guidelines would: bold colours, generous margins, legible type.",
        "Put the styles into the document itself and follow the conventions of today's flat, airy designs.",
        "Use a contemporary style with cards, soft shadows and consistent spacing.",
        "The style sheet belongs inside the page; follow modern principles of hierarchy and contrast.",
        "Follow the norms of material design for colours, elevation and typography.",
    ),
    "bootstrap": (
        "Use Bootstrap's grid and components.",
        "Follow the conventions of Bootstrap, with its rows, columns and buttons.",
        "Lay the page out with Bootstrap classes and take the style sheet from its CDN.",
        "The page relies on Bootstrap 3: use its navigation pills, jumbotron, columns and labels where they fit.",
        "Write it the way Bootstrap's documentation would.",
        "Style it with Bootstrap's own classes rather than with rules of your own.",
    ),
}


def instruction(rng: Random, style: Style) -> str:
    """One ask with one sentence on style."""
    return f"{rng.choice(ASKS)} {rng.choice(STYLES[style])}"


def style_of(html: str) -> Style:
    """The family that a document belongs to: Bootstrap where it links or uses it."""
    return "bootstrap" if "bootstrap" in html.lower() else "modern"

"""Seeded pages: the same seed and index always give the same page."""

from __future__ import annotations

from random import Random

from web2code.pages.layouts import LAYOUTS
from web2code.pages.page import Block, Facts, Page
from web2code.pages.questions import ask
from web2code.pages.themes import Theme, draw_theme

LICENCE = "CC0-1.0"


def generate(seed: int, index: int, num_questions: int = 5) -> Page:
    """The page number `index` of the family `seed`, with questions about what is seen on it."""
    rng = Random(f"{seed}/{index}")
    theme = draw_theme(rng)
    layout = rng.choices(list(LAYOUTS), weights=list(LAYOUTS.values()))[0]
    blocks = layout(rng, theme)
    facts: Facts = {"background": theme.background.name, "dark": int(theme.background.dark)}
    for block in blocks:
        facts |= block.facts
    return Page(
        id=f"generated-{seed}-{index:06}",
        source="generated",
        licence=LICENCE,
        html=assemble(theme, blocks),
        caption=caption(theme, blocks),
        questions=ask(rng, facts, num_questions),
    )


def assemble(theme: Theme, blocks: list[Block]) -> str:
    """The HTML of a page: one style sheet in the order of the parts, then the parts."""
    base = f"body{{background:{theme.background.hex};color:{'#fff' if theme.background.dark else '#111'}"
    base += f";margin:0;font:{theme.size}px {theme.font}}}"
    css = base + "".join(block.css for block in blocks)
    return f"<html><style>{css}</style><body>{''.join(block.html for block in blocks)}</body></html>"


def caption(theme: Theme, blocks: list[Block]) -> str:
    """One sentence that names the page's background and parts."""
    parts = ", ".join(block.phrase for block in blocks if block.phrase)
    return f"a {theme.background.name} page with {parts}"

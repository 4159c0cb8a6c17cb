"""How the parts of a generated page are arranged."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from web2code.pages import components
from web2code.pages.page import Block
from web2code.pages.themes import Theme


def stack(rng: Random, theme: Theme) -> list[Block]:
    """Header, one content, sometimes navigation and a footer."""
    top = [rng.choice((components.header, components.header, components.bar))(rng, theme)]
    if "links" not in top[0].facts and rng.random() < 0.3:
        top.append(components.navigation(rng, theme))
    return [*top, components.content(rng, theme), *_footer(rng, theme, 0.6)]


def landing(rng: Random, theme: Theme) -> list[Block]:
    """A hero over one content, under a header or without one."""
    top = [rng.choice((components.header, components.bar))(rng, theme)] if rng.random() < 0.6 else []
    return [*top, components.hero(rng, theme), components.content(rng, theme), *_footer(rng, theme, 0.4)]


def sidebar(rng: Random, theme: Theme) -> list[Block]:
    """A sidebar at the left or the right of one content, under a header or without one."""
    top = [components.header(rng, theme)] if rng.random() < 0.6 else []
    side = rng.choice(("left", "right"))
    beside = beside_sidebar(components.aside(rng, theme), components.content(rng, theme), side)
    return [*top, beside, *_footer(rng, theme, 0.4)]


def centred(rng: Random, theme: Theme) -> list[Block]:
    """One narrow content in the middle of an otherwise empty page."""
    inner = rng.choice((components.form, components.listing, components.article, components.pricing))(rng, theme)
    css = f"article{{{theme.paint(theme.surface)};width:{rng.choice((60, 75))}%;margin:{rng.choice((6, 12))}% auto}}"
    return [Block(css + inner.css, f"<article>{inner.html}</article>", inner.phrase + " in the middle", inner.facts)]


def beside_sidebar(side: Block, inner: Block, where: str) -> Block:
    """`side` and `inner` next to each other, as high as the higher one."""
    parts = [side, inner] if where == "left" else [inner, side]
    return Block(
        css=f"article{{display:flex}}{side.css}{inner.css}main,form{{flex:1}}",
        html=f"<article>{''.join(part.html for part in parts)}</article>",
        phrase=f"{side.phrase} on the {where}, {inner.phrase}",
        facts={**side.facts, **inner.facts, "side": where},
    )


def _footer(rng: Random, theme: Theme, share: float) -> list[Block]:
    return [components.footer(rng, theme)] if rng.random() < share else []


# A new layout needs its function and a line here: the share of pages that it gets.
LAYOUTS: dict[Callable[[Random, Theme], list[Block]], int] = {
    stack: 45,
    landing: 20,
    sidebar: 25,
    centred: 10,
}

"""The parts that generated pages are put together from: each draws its own variant and says what it drew."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from web2code.pages import words
from web2code.pages.page import Block
from web2code.pages.themes import Colour, Theme

NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


def header(rng: Random, theme: Theme) -> Block:
    """A coloured band with the page's name, sometimes centred."""
    colour = theme.accents[0]
    centre = rng.choice(("", ";text-align:center"))
    css = f"header{{{theme.paint(colour)};padding:{rng.choice((1, 3, 6))}%{centre}}}"
    html = f"<header><h1>{words.title(rng)}</h1></header>"
    return Block(css, html, f"a {colour.name} header", {"header": colour.name})


def bar(rng: Random, theme: Theme) -> Block:
    """A thin header whose links stand beside the name."""
    colour = theme.accents[0]
    css = f"header{{{theme.paint(colour)};padding:5%}}a{{margin:4%}}"
    html = f"<header><b>{rng.choice(words.NAMES)}</b>{_links(rng, 3)}</header>"
    return Block(css, html, f"a {colour.name} header with links", {"header": colour.name, "links": 3})


def navigation(rng: Random, theme: Theme) -> Block:
    """A band of links."""
    colour = rng.choice((theme.accents[1], theme.surface))
    num = rng.choice((3, 4))
    css = f"nav{{{theme.paint(colour)};padding:4%}}a{{margin:3%}}"
    return Block(css, f"<nav>{_links(rng, num)}</nav>", "", {"links": num})


def hero(rng: Random, theme: Theme) -> Block:
    """A large band with a heading, a sentence and sometimes a button."""
    colour = theme.accents[1]
    css = f"section{{{theme.paint(colour)};padding:{rng.choice((4, 8))}%{rng.choice(('', ';text-align:center'))}}}"
    facts: dict[str, str | int] = {"hero": colour.name}
    button = ""
    if rng.random() < 0.4:
        rule, button = _button(rng, theme, theme.accents[0])
        css += rule
        facts["button"] = theme.accents[0].name
    html = f"<section><h2>{words.title(rng)}</h2><p>{words.sentence(rng)}</p>{button}</section>"
    return Block(css, html, f"a {colour.name} banner", facts)


def cards_row(rng: Random, theme: Theme) -> Block:
    """Two to four tall cards side by side."""
    num = rng.choice((2, 3, 4))
    colour = _card_colour(rng, theme)
    css = (
        f"main{{display:flex;gap:4%;padding:4%}}"
        f"div{{{theme.paint(colour)};flex:1;height:{rng.choice((120, 180, 240))}px;padding:3%}}"
    )
    return _cards(num, colour, "in a row", css, [_card(rng) for _ in range(num)])


def cards_column(rng: Random, theme: Theme) -> Block:
    """Two to four wide cards, one below the other."""
    num = rng.choice((2, 3, 4))
    colour = _card_colour(rng, theme)
    css = f"main{{padding:2% 4%}}div{{{theme.paint(colour)};padding:{rng.choice((2, 4))}%;margin:4%}}"
    return _cards(num, colour, "in a column", css, [_card(rng, short=True) for _ in range(num)])


def cards_grid(rng: Random, theme: Theme) -> Block:
    """Four or six cards in a grid."""
    num, columns = rng.choice(((4, 2), (6, 2), (6, 3)))
    colour = _card_colour(rng, theme)
    height = rng.choice((90, 130)) if num == 4 or columns == 3 else 70
    css = (
        f"main{{display:grid;grid:auto/{_columns(columns)};gap:4%;padding:4%}}"
        f"div{{{theme.paint(colour)};height:{height}px;padding:4%}}"
    )
    return _cards(num, colour, "in a grid", css, [rng.choice(words.THINGS) for _ in range(num)])


def pricing(rng: Random, theme: Theme) -> Block:
    """Two or three offers with a price and a button."""
    num = rng.choice((2, 3))
    colour, action = theme.surface, rng.choice(words.ACTIONS)
    rule, _ = _button(rng, theme, theme.accents[2])
    css = f"main{{display:flex;gap:4%;padding:6% 4%}}div{{{theme.paint(colour)};flex:1;padding:4%;text-align:center}}"
    inner = [
        f"<h3>{rng.choice(words.THINGS)}</h3><h2>{words.price(rng)}</h2><button>{action}</button>" for _ in range(num)
    ]
    block = _cards(num, colour, "with prices", css + rule, inner)
    return Block(block.css, block.html, block.phrase, {**block.facts, "button": theme.accents[2].name})


def gallery(rng: Random, theme: Theme) -> Block:
    """Four or six tiles in two colours."""
    num, columns = rng.choice(((4, 2), (6, 2), (6, 3)))
    height = rng.choice((90, 150)) if num == 4 or columns == 3 else 90
    first, second = theme.accents[1], theme.accents[2]
    css = (
        f"main{{display:grid;grid:auto/{_columns(columns)};gap:{rng.choice((2, 5))}%;padding:5%}}"
        f"i,b{{background:{first.hex};height:{height}px}}b{{background:{second.hex}}}"
    )
    tiles = "".join(rng.choice(("<i></i>", "<b></b>")) for _ in range(num))
    return Block(css, f"<main>{tiles}</main>", f"a gallery of {NUMBERS[num]} tiles", {"tiles": num})


def posts(rng: Random, theme: Theme) -> Block:
    """Two to four entries, each a coloured square and a text beside it."""
    num = rng.choice((2, 3, 4))
    colour = theme.accents[1]
    side = 70 if num == 4 else rng.choice((70, 110))
    css = (
        "main{padding:3%}div{display:flex;gap:5%;padding:2%}"
        f"i{{background:{colour.hex};width:{side}px;height:{side}px}}"
    )
    inner = "".join(f"<div><i></i><p>{words.title(rng)}</p></div>" for _ in range(num))
    return Block(css, f"<main>{inner}</main>", f"{NUMBERS[num]} {colour.name} pictures with text", {"pictures": num})


def form(rng: Random, theme: Theme) -> Block:
    """A form with one to three fields and a button."""
    num = rng.choice((1, 2, 3))
    colour, action = _card_colour(rng, theme), theme.accents[2]
    rule, button = _button(rng, theme, action)
    css = (
        f"form{{{theme.paint(colour)};padding:4%;margin:5%}}"
        f"input{{display:block;width:{rng.choice((60, 90))}%;padding:3%}}{rule}"
    )
    fields = "".join(f"<p>{name}</p><input>" for name in rng.sample(words.FIELDS, num))
    html = f"<form>{fields}<p>{button}</p></form>"
    return Block(css, html, f"a {colour.name} form", {"form": colour.name, "fields": num, "button": action.name})


def table(rng: Random, theme: Theme) -> Block:
    """A table of things and prices under a coloured head."""
    colour, num, columns = theme.accents[1], rng.choice((2, 3, 4)), rng.choice((2, 3))
    css = (
        f"main{{padding:5%}}table{{{theme.paint(theme.surface)};width:100%}}"
        f"td{{padding:{rng.choice((2, 5))}%}}thead{{{theme.paint(colour)}}}"
    )
    rows = [_row([rng.choice(words.THINGS), words.price(rng), words.price(rng)][:columns]) for _ in range(num)]
    top = _row(rng.sample(words.FIELDS, columns))
    html = f"<main><table><thead>{top}</thead>{''.join(rows)}</table></main>"
    return Block(css, html, f"a table with a {colour.name} head", {"table": colour.name, "rows": num})


def listing(rng: Random, theme: Theme) -> Block:
    """A heading and a list, plain or as coloured rows."""
    num = rng.choice((3, 4, 5))
    css = f"main{{padding:{rng.choice((2, 5))}%}}"
    css += rng.choice(("li{padding:2%}", f"li{{{theme.paint(theme.accents[2])};padding:3%;margin:3%}}"))
    items = "".join(f"<li>{rng.choice(words.THINGS)}</li>" for _ in range(num))
    html = f"<main><h2>{words.title(rng)}</h2><ul>{items}</ul></main>"
    return Block(css, html, f"a list of {NUMBERS[num]}", {"list": num})


def article(rng: Random, theme: Theme) -> Block:
    """A heading over one to three paragraphs, with or without a picture."""
    num = rng.choice((1, 2, 3))
    css = f"main{{padding:{rng.choice(('3%', '5% 15%'))}}}"
    facts: dict[str, str | int] = {"article": num}
    picture = ""
    if rng.random() < 0.6:
        colour = theme.accents[2]
        css += f"i{{display:block;background:{colour.hex};height:{rng.choice((90, 180))}px}}"
        picture = "<i></i>"
        facts["pictures"] = 1
    text = "".join(f"<p>{words.sentence(rng)}. {words.sentence(rng)}.</p>" for _ in range(num))
    phrase = "a text with a picture" if picture else "a text"
    return Block(css, f"<main><h2>{words.title(rng)}</h2>{picture}{text}</main>", phrase, facts)


def aside(rng: Random, theme: Theme) -> Block:
    """A coloured column of links; the layout puts it on one side."""
    colour = rng.choice((theme.accents[1], theme.surface))
    num = rng.choice((2, 3, 4))
    css = f"aside{{{theme.paint(colour)};width:{rng.choice((20, 30))}%;padding:4%}}"
    items = "".join(f"<p>{link}</p>" for link in rng.sample(words.LINKS, num))
    return Block(css, f"<aside>{items}</aside>", f"a {colour.name} sidebar", {"sidebar": colour.name})


def footer(rng: Random, theme: Theme) -> Block:
    """A band at the end with a telephone number."""
    colour = rng.choice((theme.accents[0], theme.accents[2]))
    css = f"footer{{{theme.paint(colour)};padding:{rng.choice((3, 6))}%}}"
    html = f"<footer>Phone {words.phone(rng)}</footer>"
    return Block(css, html, f"a {colour.name} footer", {"footer": colour.name})


Component = Callable[[Random, Theme], Block]

# What may fill the middle of a page, and how often; a new component needs its function and a line here.
CONTENTS: dict[Component, int] = {
    cards_row: 16,
    cards_column: 10,
    cards_grid: 10,
    pricing: 10,
    gallery: 10,
    posts: 10,
    form: 12,
    table: 12,
    listing: 10,
    article: 12,
}


def content(rng: Random, theme: Theme) -> Block:
    """One of the components that fill the middle of a page."""
    return rng.choices(list(CONTENTS), weights=list(CONTENTS.values()))[0](rng, theme)


def _cards(num: int, colour: Colour, where: str, css: str, inner: list[str]) -> Block:
    html = "".join(f"<div>{card}</div>" for card in inner)
    facts: dict[str, str | int] = {"cards": num, "card colour": colour.name, "arrangement": where}
    return Block(css, f"<main>{html}</main>", f"{NUMBERS[num]} {colour.name} cards {where}", facts)


def _card(rng: Random, short: bool = False) -> str:
    name = f"<h3>{rng.choice(words.THINGS)}</h3>"
    return name if short or rng.random() < 0.5 else f"{name}<p>{words.price(rng)}</p>"


def _card_colour(rng: Random, theme: Theme) -> Colour:
    return rng.choice((theme.accents[1], theme.accents[2], theme.surface))


def _columns(num: int) -> str:
    return " ".join(["1fr"] * num)


def _row(cells: list[str]) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _links(rng: Random, num: int) -> str:
    return "".join(f"<a>{link}</a>" for link in rng.sample(words.LINKS, num))


def _button(rng: Random, theme: Theme, colour: Colour) -> tuple[str, str]:
    ink = "#fff" if colour.dark else "#111"
    css = f"button{{background:{colour.hex};color:{ink};padding:3% 6%}}"
    return css, f"<button>{rng.choice(words.ACTIONS)}</button>"

"""pix2code's layout language for web pages, compiled to Bootstrap 3.3.7 (arXiv 1705.07962, section 4)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from web2code.data.writers.writer import WriterError

STYLESHEET = "https://maxcdn.bootstrapcdn.com/bootstrap/3.3.7/css/bootstrap.min.css"
# What stands for an element of the language: its markup, with {} where its text or its content goes.
CONTAINERS = {
    "body": "{}",
    "header": '<div class="header clearfix"><nav><ul class="nav nav-pills pull-left">{}</ul></nav></div>',
    "row": '<div class="row">{}</div>',
    "single": '<div class="col-lg-12">{}</div>',
    "double": '<div class="col-lg-6">{}</div>',
    "quadruple": '<div class="col-lg-3">{}</div>',
}
LEAVES = {
    "btn-active": '<li class="active"><a href="#">{}</a></li>',
    "btn-inactive": '<li><a href="#">{}</a></li>',
    "btn-green": '<a class="btn btn-success" href="#" role="button">{}</a>',
    "btn-orange": '<a class="btn btn-warning" href="#" role="button">{}</a>',
    "btn-red": '<a class="btn btn-danger" href="#" role="button">{}</a>',
    "big-title": "<h2>{}</h2>",
    "small-title": "<h4>{}</h4>",
    "text": "<p>{}</p>",
}
# What a text is for; a writer is asked for texts of these kinds.
SLOTS = {
    "btn-active": "link", "btn-inactive": "link", "btn-green": "button", "btn-orange": "button", "btn-red": "button",
    "big-title": "title", "small-title": "title", "text": "sentence",
}  # fmt: skip
PAGE = (
    '<html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    f'<link rel="stylesheet" href="{STYLESHEET}">'
    "<style>.header{{margin:20px 0}} nav ul.nav-pills li{{background-color:#fafafa;border-radius:4px}} "
    ".col-lg-3,.col-lg-6,.col-lg-12{{margin-bottom:20px;border-radius:6px;background-color:#f5f5f5;padding:20px}} "
    ".row .col-lg-3{{width:25%;float:left}} .row .col-lg-6{{width:50%;float:left}}</style>"
    "<title>{title}</title></head>"
    '<body><main class="container">{body}</main></body></html>'
)
_TOKENS = re.compile(r"[\w-]+|[{}]")


@dataclass(frozen=True)
class Node:
    """An element of the language."""

    name: str
    children: tuple[Node, ...] = ()

    def slots(self) -> list[str]:
        """Kinds of the texts that the layout holds, in order."""
        own = [SLOTS[self.name]] if self.name in SLOTS else []
        return own + [slot for child in self.children for slot in child.slots()]


def parse_layout(text: str) -> Node:
    """The tree of a `.gui` file.

    Raises:
        WriterError: an unknown element, or brackets that do not fit; the message is a countable reason.
    """
    tokens = _TOKENS.findall(text.replace(",", " "))
    children, rest = _parse(tokens, 0, 0)
    if rest != len(tokens) or not children:
        raise WriterError("layout brackets do not fit")
    return Node("body", children)


def compile_layout(layout: Node, texts: Sequence[str]) -> str:
    """The page of a layout, with `texts` in the order of its slots."""
    remaining = iter(texts)
    body = "".join(_compile(child, remaining) for child in layout.children)
    title = next((text for slot, text in zip(layout.slots(), texts, strict=False) if slot == "title"), "Home")
    return PAGE.format(title=html.escape(title), body=body)


def _parse(tokens: list[str], position: int, depth: int) -> tuple[tuple[Node, ...], int]:
    nodes: list[Node] = []
    while position < len(tokens) and tokens[position] != "}":
        name = tokens[position]
        position += 1
        if name in LEAVES:
            nodes.append(Node(name))
        elif name in CONTAINERS and depth < 8:
            if position >= len(tokens) or tokens[position] != "{":
                raise WriterError("layout brackets do not fit")
            children, position = _parse(tokens, position + 1, depth + 1)
            if position >= len(tokens):
                raise WriterError("layout brackets do not fit")
            nodes.append(Node(name, children))
            position += 1
        else:
            raise WriterError("layout has an unknown element")
    return tuple(nodes), position


def _compile(node: Node, texts: Iterator[str]) -> str:
    if node.name in LEAVES:
        return LEAVES[node.name].format(html.escape(next(texts)))
    return CONTAINERS[node.name].format("".join(_compile(child, texts) for child in node.children))

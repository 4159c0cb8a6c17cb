"""Pages from a user's folder of HTML documents, cut into sections that a small context can hold.

A document is far longer than what a model writes in one go. Each section keeps what is visible (tags, text, colours),
and its screenshot is made from the section itself, so that a pair always fits together.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import lxml.html
from lxml import etree

from web2code.pages.page import Page, Question

SUFFIXES = (".html", ".htm", ".xhtml")
MAX_FILE_BYTES = 5_000_000
MIN_TEXT_CHARS = 20
DROPPED_TAGS = (
    "script", "style", "link", "meta", "noscript", "iframe", "object", "embed", "template", "base", "svg", "math",
    "video", "audio", "canvas", "source", "picture",
)  # fmt: skip
KEPT_ATTRIBUTES = {"bgcolor", "color", "align", "type", "value", "placeholder", "colspan", "rowspan"}
LICENCE = "unknown"
PARTS = {
    "a table": ".//table",
    "a list": ".//ul|.//ol|.//dl",
    "a heading": ".//h1|.//h2|.//h3|.//h4|.//h5|.//h6",
    "a link": ".//a",
    "preformatted text": ".//pre",
    "a form": ".//form|.//input|.//button",
    "emphasised text": ".//em|.//strong|.//b|.//i",
    "code": ".//code|.//pre|.//tt",
}


def read_folder(folder: Path, max_chars: int, num_questions: int, seed: int, dropped: Counter) -> Iterator[Page]:
    """Sections of every document below `folder`, in a fixed order; `dropped` counts what was left out, by reason."""
    for path in sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix.lower() in SUFFIXES):
        name = str(path.relative_to(folder))
        if path.stat().st_size > MAX_FILE_BYTES:
            dropped[f"file over {MAX_FILE_BYTES} bytes"] += 1
            continue
        for number, html in enumerate(sections(path.read_bytes(), max_chars, dropped)):
            rng = Random(f"{seed}/{name}/{number}")
            yield Page(
                id=f"{hashlib.sha256(name.encode()).hexdigest()[:12]}-{number:04}",
                source=f"folder:{name}",
                licence=LICENCE,
                html=html,
                caption=caption(html),
                questions=ask(rng, html, num_questions),
            )


def sections(document: bytes, max_chars: int, dropped: Counter) -> Iterator[str]:
    """The visible content of an HTML document as small pages of at most `max_chars` characters each."""
    try:
        root = lxml.html.document_fromstring(document.decode("utf-8", "replace").replace("\x00", "").encode())
    except (etree.ParserError, etree.XMLSyntaxError, ValueError, RecursionError):
        dropped["not HTML"] += 1
        return
    body = root.find("body")
    if body is None:
        dropped["no body"] += 1
        return
    clean(body)
    room = max_chars - len(wrap(""))
    for pieces in _pack(list(_pieces(body, room, dropped)), room):
        html = wrap("".join(pieces))
        if len(re.sub(r"<[^>]*>|\s", "", html)) < MIN_TEXT_CHARS:
            dropped["hardly any text"] += 1
        else:
            yield html


def clean(body: etree._Element) -> None:
    """Remove what cannot be seen or must not be fetched, and fold white space; changes `body` in place."""
    etree.strip_elements(body, *DROPPED_TAGS, with_tail=False)
    etree.strip_tags(body, etree.Comment, etree.ProcessingInstruction)
    for element in body.iter():
        for name in list(element.attrib):
            if name.lower() not in KEPT_ATTRIBUTES:
                del element.attrib[name]
        if element.tag == "img":
            element.tag = "span"
        inside_pre = any(parent.tag == "pre" for parent in element.iterancestors()) or element.tag == "pre"
        element.text = element.text if inside_pre else _fold(element.text)
        element.tail = element.tail if inside_pre and element.tag != "pre" else _fold(element.tail)
    for element in reversed(list(body.iter("div", "span", "section", "p"))):
        bare = not len(element) and not (element.text or "").strip()
        if (bare or element.tag == "span") and element is not body:
            element.drop_tree() if bare else element.drop_tag()


def caption(html: str) -> str:
    """What a section is about: its first heading, or its first words."""
    root = lxml.html.document_fromstring(html)
    heading = root.find(".//h1") if root.find(".//h1") is not None else root.find(".//h2")
    words = (heading if heading is not None else root).text_content().split()
    return "a page about " + " ".join(words[:8])


def ask(rng: Random, html: str, num: int) -> tuple[Question, ...]:
    """Up to `num` questions about the parts of a section, half of them answered Yes where it has enough parts."""
    root = lxml.html.document_fromstring(html)
    asked = [
        Question(f"Is there {name}?", "Yes" if root.xpath(path) else "No", "presence") for name, path in PARTS.items()
    ]
    yes = [question for question in asked if question.answer == "Yes"]
    no = [question for question in asked if question.answer == "No"]
    rng.shuffle(yes)
    rng.shuffle(no)
    half = rng.choice((num // 2, num - num // 2))
    chosen = yes[:half] + no[: num - min(half, len(yes))]
    rng.shuffle(chosen)
    return tuple(chosen)


def wrap(inner: str) -> str:
    """A document around a section's markup."""
    return f"<html><body>{inner}</body></html>"


def _fold(text: str | None) -> str | None:
    return re.sub(r"\s+", " ", text) if text else text


def _pieces(parent: etree._Element, room: int, dropped: Counter, depth: int = 0) -> Iterator[str]:
    """Markup of the children of `parent`, each at most `room` characters; larger ones are opened."""
    if parent.text and parent.text.strip():
        yield from _text(parent.text, room)
    for child in parent:
        markup = etree.tostring(child, encoding="unicode", method="html", with_tail=False)
        if len(markup) <= room:
            yield markup
        elif depth < 60 and (len(child) or (child.text or "").strip()):
            yield from _pieces(child, room, dropped, depth + 1)
        else:
            dropped["element too large"] += 1
        if child.tail and child.tail.strip():
            yield from _text(child.tail, room)


def _text(text: str, room: int) -> Iterator[str]:
    escaped = "<p>" + text.strip().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") + "</p>"
    if len(escaped) <= room:
        yield escaped


def _pack(pieces: list[str], room: int) -> Iterator[list[str]]:
    """Consecutive pieces, as many as fit together."""
    packed: list[str] = []
    for piece in pieces:
        if packed and sum(map(len, packed)) + len(piece) > room:
            yield packed
            packed = []
        packed.append(piece)
    if packed:
        yield packed

"""The HTML document in what a model wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

THOUGHT, THOUGHT_END = re.compile("<think>", re.IGNORECASE), re.compile("</think>", re.IGNORECASE)
# It starts its line or ends it. Every repetition is possessive: hostile answers take no longer.
FENCE = re.compile(r"(^[ \t]*+)?(?<![`~])(`{3,}+|~{3,}+)([\w+#.-]*+)(?(1)|[ \t\r]*+$)", re.MULTILINE)
PAGE = re.compile(r"<!doctype html|<html", re.IGNORECASE)
PAGE_OF_LINE = re.compile(rf"^[ \t]*+(?={PAGE.pattern})", re.IGNORECASE | re.MULTILINE)
PAGE_END = re.compile("</html>", re.IGNORECASE)
# What a browser makes a document of: the inside of one, and in a block called html any element.
INSIDE, ELEMENT = (re.compile(rf"\s*+<{tag}", re.IGNORECASE) for tag in (r"(?:head|body)\b", "[a-z]"))


@dataclass(frozen=True)
class Block:
    """Where in a text a fenced block's content is, and what its fence calls it."""

    label: str
    start: int
    end: int


def extract_html(text: str) -> str | None:
    """The document that an answer gives, without thoughts, markdown and words around it; None where there is none.

    It is that of the first fenced block called html that holds one, else of any block, else of the text around them:
    from `<html` or the doctype to `</html>`, or as far as an answer that was cut off goes. Where there is none, it is
    the first block called html that starts with an element, or a text that starts with the head or the body of a page:
    browsers show these as they do a document.
    """
    text = without_thoughts(text)
    blocks = [] if PAGE.match(text.lstrip()) else list(fenced_blocks(text))
    for block in sorted(blocks, key=lambda block: block.label != "html"):
        if start := PAGE.search(text, block.start, block.end):
            return _document(text, start.start(), block.end)
    # Beside blocks, words may mention a tag: what is no part of a sentence starts its line.
    if start := (PAGE_OF_LINE if blocks else PAGE).search(text):
        return _document(text, start.end() if blocks else start.start(), len(text))
    for block in blocks:
        if block.label == "html" and ELEMENT.match(text, block.start, block.end):
            return text[block.start : block.end].lstrip("\r\n")
    return text if INSIDE.match(text) else None


def without_thoughts(text: str) -> str:
    """The text without each `<think>...</think>`; one that the prompt opened starts with the text."""
    *closed, said = THOUGHT_END.split(text)
    return "".join([part[: start.start()] for part in closed if (start := THOUGHT.search(part))] + [said])


def fenced_blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a markdown text, in order; one that is not closed goes to the end.

    What closes a block is no shorter than what opened it, and has no label.
    """
    opened: re.Match[str] | None = None
    for fence in FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif not fence[3] and fence[2].startswith(opened[2]):
            yield Block(opened[3].lower(), opened.end(), fence.start())
            opened = None
    if opened:
        yield Block(opened[3].lower(), opened.end(), len(text))


def _document(text: str, start: int, end: int) -> str:
    """The first document from `start` on: to its last end tag before `end`, or to `end` where there is none.

    A fence that is part of a page does not end it: then its end tag follows, before another document starts.
    """
    ends = [found.end() for found in PAGE_END.finditer(text, start, end)]
    if ends:
        another = PAGE_OF_LINE.search(text, ends[0], end)
        return text[start : max(place for place in ends if another is None or place <= another.start())]
    after = PAGE_END.search(text, end)
    return text[start : after.end() if after and not PAGE_OF_LINE.search(text, end, after.start()) else end]

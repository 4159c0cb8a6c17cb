"""What the published tables of Web2Code say of a page: tags, depth, different tags."""

from __future__ import annotations

from dataclasses import dataclass

import lxml.html
from lxml import etree


@dataclass(frozen=True)
class HtmlStatistics:
    """`depth` counts elements on the longest way down, the root included; `has_body` is whether a page would show."""

    num_tags: int
    depth: int
    num_unique_tags: int
    has_body: bool


NOTHING = HtmlStatistics(0, 0, 0, False)


def html_statistics(html: str) -> HtmlStatistics:
    """Statistics of a document as a browser's parser would repair it; zeros where there is no element at all."""
    try:
        root = lxml.html.document_fromstring(html, parser=lxml.html.HTMLParser(huge_tree=False))
    except (etree.ParserError, etree.XMLSyntaxError, ValueError, AssertionError):
        return NOTHING
    tags: list[str] = []
    deepest, level = 0, 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if not isinstance(element.tag, str):
            continue
        level += 1 if event == "start" else -1
        if event == "start":
            tags.append(element.tag)
            deepest = max(deepest, level)
    return HtmlStatistics(len(tags), deepest, len(set(tags)), root.find("body") is not None)

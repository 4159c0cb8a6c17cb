"""Public style sheets that pages link, replaced by copies: the renderer has no network."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ASSETS = Path(__file__).with_name("assets")
# Bootstrap 3.3.7 (MIT), which Pix2Code's pages take from a CDN.
COPIES = {re.compile(r"bootstrap/3\.\d\.\d/css/bootstrap(?:\.min)?\.css$"): "bootstrap-3.3.7.min.css"}
# A copy is a thousand times as long as the link to it: a document of nothing but links would fill the memory.
MAX_LINKS = 100
_LINK = re.compile(r"<link\b[^<>]{0,500}>", re.IGNORECASE)
_ADDRESS = re.compile(r"""href\s*=\s*["']?(https?://[^"'\s>]+)""", re.IGNORECASE)


def with_local_stylesheets(html: str) -> str:
    """The document with each of its first `MAX_LINKS` links to a known public style sheet replaced by the sheet."""
    return _LINK.sub(lambda link: _inlined(link[0]), html, count=MAX_LINKS)


def _inlined(link: str) -> str:
    address = _ADDRESS.search(link)
    for pattern, name in COPIES.items():
        if address and pattern.search(address[1]):
            return f"<style>{_sheet(name)}</style>"
    return link


@cache
def _sheet(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")

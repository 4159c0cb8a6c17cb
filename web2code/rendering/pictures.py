"""Pictures that pages name by their file, put into the document: the renderer has no files."""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Mapping

# A document that names a picture more often is hostile; the rest stays broken.
MAX_COPIES = 500
_BEFORE = r"""((?:\b(?:src|poster|href|data|background)\s{0,8}=\s{0,8}|\burl\(\s{0,8})["']?\s{0,8})(?:\./)?"""


def data_urls(pictures: Mapping[str, bytes]) -> dict[str, str]:
    """Each picture's file name with its content as a URL."""
    return {
        name: f"data:{mimetypes.guess_type(name)[0]};base64,{base64.b64encode(content).decode()}"
        for name, content in pictures.items()
    }


def with_local_pictures(html: str, urls: Mapping[str, str]) -> str:
    """The document with the pictures' names, where they are addresses, replaced by the pictures."""
    for name, url in urls.items():
        address = re.compile(_BEFORE + re.escape(name) + r"""(?=["')\s>])""", re.IGNORECASE)
        html = address.sub(lambda found, url=url: found[1] + url, html, count=MAX_COPIES)  # type: ignore[misc]
    return html

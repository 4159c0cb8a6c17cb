"""The HTML document in what a model wrote."""

from __future__ import annotations

import re


def extract_html(text: str) -> str | None:
    """The document from its first `<html` or doctype on, without a markdown fence; None where there is none."""
    text = re.sub(r"^.*?```(?:html)?\s*\n(.*?)(?:```.*|$)", r"\1", text, count=1, flags=re.DOTALL | re.IGNORECASE)
    start = re.search(r"<!doctype html|<html", text, re.IGNORECASE)
    if start is None:
        return None
    end = text.lower().rfind("</html>")
    return text[start.start() : end + len("</html>")] if end > start.start() else text[start.start() :]

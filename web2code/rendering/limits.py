"""What a page may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What is more than this fails, and costs at most a browser.

    Args:
        seconds: to draw the page and look at it.
        megabytes: resident in all processes of the browser and in its driver, beyond what they hold before the first
            page; memory that several of them map counts for each.
        html_bytes: of the document in UTF-8.
        elements: of the document, and boxes of its layout, where they are asked for.
    """

    seconds: float = 10.0
    megabytes: int = 1_500
    html_bytes: int = 2_000_000
    elements: int = 50_000

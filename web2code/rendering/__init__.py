"""Hostile HTML in, pixels and boxes out: a pool of sandboxed Chromium processes."""

from web2code.rendering.browser import BrowserDiedError
from web2code.rendering.chromium import chromium_version, find_chromium
from web2code.rendering.limits import Limits
from web2code.rendering.modes import PUBLISHED_VIEWPORT, Capture
from web2code.rendering.pool import Browsers
from web2code.rendering.snapshot import Element, Snapshot

__all__ = [
    "PUBLISHED_VIEWPORT",
    "BrowserDiedError",
    "Browsers",
    "Capture",
    "Element",
    "Limits",
    "Snapshot",
    "chromium_version",
    "find_chromium",
]

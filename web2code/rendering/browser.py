"""One Chromium process with one page, used again for every document."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import threading
from typing import Any

from playwright.sync_api import Error, Playwright

from web2code.config import Viewport
from web2code.rendering.chromium import FLAGS, find_chromium
from web2code.rendering.snapshot import STYLES, Snapshot, parse_elements

TIMEOUT_SECONDS = 10.0
MAX_HTML_BYTES = 2_000_000
MAX_VIEWPORT_HEIGHTS = 8
NAVIGATION_EVENTS = ("Page.frameRequestedNavigation", "Page.frameScheduledNavigation", "Page.frameStartedNavigating")


class BrowserDiedError(RuntimeError):
    """Chromium crashed, or was killed because a page took too long."""


class Browser:
    """A page with scripts off and no way out: no network, no files, no navigation."""

    def __init__(self, playwright: Playwright, viewport: Viewport, layout: bool) -> None:
        self.viewport, self.layout = viewport, layout
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        self.browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=list(FLAGS), chromium_sandbox=not root
        )
        processes = self.browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
        self.pid = next(process["id"] for process in processes if process["type"] == "browser")
        context = self.browser.new_context(
            viewport={"width": viewport.width, "height": viewport.height}, java_script_enabled=False, offline=True
        )
        page = context.new_page()
        self.session = context.new_cdp_session(page)
        self.session.send("Page.enable")
        self.session.send("Network.enable")
        self.session.send(
            "Network.setBlockedURLs", {"urls": ["http://*", "https://*", "ws*://*", "file://*", "ftp://*"]}
        )
        if layout:
            self.session.send("DOMSnapshot.enable")
        self.frame = self.session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        self.navigated = False
        for event in NAVIGATION_EVENTS:
            self.session.on(event, self._on_navigation)

    def render(self, html: str) -> Snapshot:
        """The picture and elements of a document.

        Raises:
            BrowserDiedError: the page took more than `TIMEOUT_SECONDS`, or Chromium crashed; this browser is gone.
        """
        if len(html.encode("utf-8", "replace")) > MAX_HTML_BYTES:
            return Snapshot("failed", f"the document is larger than {MAX_HTML_BYTES} bytes")
        watchdog = threading.Timer(TIMEOUT_SECONDS, self.kill)
        watchdog.start()
        try:
            return self._render(html)
        except Error as error:
            raise BrowserDiedError(str(error).splitlines()[0]) from error
        finally:
            watchdog.cancel()

    def kill(self) -> None:
        """End the browser at once; what waits for it fails."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(Error):
            self.browser.close()

    def _render(self, html: str) -> Snapshot:
        self.navigated = False
        self.session.send("Page.setDocumentContent", {"frameId": self.frame, "html": html})
        size = self.session.send("Page.getLayoutMetrics")["cssContentSize"]
        width = self.viewport.width
        tallest = self.viewport.height * MAX_VIEWPORT_HEIGHTS
        height = min(max(self.viewport.height, int(size["height"])), tallest)
        picture = self.session.send(
            "Page.captureScreenshot",
            {
                "format": "png",
                "optimizeForSpeed": True,
                "captureBeyondViewport": height > self.viewport.height,
                "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
            },
        )
        answer = self._snapshot() if self.layout else None
        if self.navigated:
            self._reset()
            return Snapshot("failed", "the page navigated away")
        elements = parse_elements(answer) if answer else ()
        return Snapshot("rendered", "", base64.b64decode(picture["data"]), width, height, elements)

    def _snapshot(self) -> dict[str, Any]:
        return self.session.send("DOMSnapshot.captureSnapshot", {"computedStyles": list(STYLES)})

    def _on_navigation(self, event: dict[str, Any]) -> None:
        if event.get("frameId") == self.frame:
            self.navigated = True

    def _reset(self) -> None:
        self.session.send("Page.stopLoading")
        self.session.send("Page.navigate", {"url": "about:blank"})
        self.frame = self.session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]

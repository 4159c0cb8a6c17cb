"""One Chromium process with one page, used again for every document."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Error, Playwright

from web2code.config import Viewport
from web2code.rendering.chromium import FLAGS, find_chromium
from web2code.rendering.pictures import with_local_pictures
from web2code.rendering.snapshot import STYLES, Snapshot, parse_elements
from web2code.rendering.stylesheets import with_local_stylesheets

TIMEOUT_SECONDS = 10.0
MAX_HTML_BYTES = 2_000_000
MAX_VIEWPORT_HEIGHTS = 8
MAX_LENGTH = 16_384
MAX_PIXELS = 32_000_000
TRIES = 5
PASSING_ERRORS = ("Unable to capture screenshot", "Not attached to an active page")
NAVIGATION_EVENTS = ("Page.frameRequestedNavigation", "Page.frameScheduledNavigation", "Page.frameStartedNavigating")

# Runs in a page whose own scripts are off. What moves is put at its end, and pictures and fonts in data URLs are waited
# for: without it the same page gives different pixels each time.
SETTLE = """globalThis.settled = false;
(async () => {
  if (document.readyState !== 'complete') await new Promise(done => addEventListener('load', done, {once: true}));
  document.documentElement?.getBoundingClientRect();  // a layout asks for the fonts
  if (document.fonts.status !== 'loaded') await document.fonts.ready;
  const images = [...document.images];
  if (images.length) await Promise.all(images.map(image => image.decode().catch(() => {})));
  for (const animation of document.getAnimations()) {
    try { animation.finish(); } catch { animation.cancel(); }
  }
  for (const marquee of document.querySelectorAll('marquee')) marquee.replaceWith(...marquee.childNodes);
  for (const focused of document.querySelectorAll('[autofocus]')) {
    const copy = focused.cloneNode(true);
    copy.removeAttribute('autofocus');
    focused.replaceWith(copy);
  }
  for (const bar of document.querySelectorAll('progress:indeterminate')) bar.value = 0;
  for (const svg of document.querySelectorAll('svg')) { svg.pauseAnimations(); svg.setCurrentTime(0); }
  globalThis.settled = true;
})();
"""
SETTLED = "globalThis.settled === true"

# The size that Playwright gives a screenshot of a full page: what overflows the window to the right is part of it.
FULL_SIZE = """(() => {
  const parts = [document.documentElement, document.body].filter(part => part);
  const sizes = ["scroll", "offset", "client"];
  const largest = side => Math.max(0, ...parts.flatMap(part => sizes.map(size => part[size + side])));
  return [largest("Width"), largest("Height")];
})()"""

# What real pages have in their heads: values are of no consequence where the names are none. A quote that another kind
# of quote seems to end would hide what follows.
_VALUE = r"""(?:"[^"<>]*"|'[^'<>]*'|[\w./:+-]+)"""
_NAMES = (
    r"(?:viewport|description|author|keywords|generator|robots|googlebot|copyright|rating|language|theme-color|referrer"
    r"|application-name|format-detection|(?:apple|msapplication|google)-[\w-]+|(?:og|twitter|fb|article|dc)[:.][\w:.]+)"
)
_HEADERS = r"(?:content-type|x-ua-compatible)"
HARMLESS_META = re.compile(
    rf"""<meta(?:[ \t\r\n\f]+(?:(?:charset|content|property|itemprop|id|class)={_VALUE}"""
    rf"""|name=(?:"{_NAMES}"|'{_NAMES}'|{_NAMES})|http-equiv=(?:"{_HEADERS}"|'{_HEADERS}'|{_HEADERS})))+"""
    r"[ \t\r\n\f]*/?>",
    re.IGNORECASE | re.ASCII,
)
TRACES = re.compile(r"<meta|link\s*=", re.IGNORECASE)


class BrowserDiedError(RuntimeError):
    """Chromium crashed, or was killed because a page took too long."""


class Browser:
    """A page with scripts off and no way out: no network, no files, no navigation."""

    def __init__(
        self, playwright: Playwright, viewport: Viewport, layout: bool, whole: bool, pictures: Mapping[str, str]
    ) -> None:
        self.viewport, self.layout, self.whole, self.pictures = viewport, layout, whole, pictures
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
            return self._render(with_local_pictures(with_local_stylesheets(html), self.pictures))
        except Error as error:
            raise BrowserDiedError(str(error).splitlines()[0]) from error
        finally:
            watchdog.cancel()

    def kill(self) -> None:
        """End the browser's whole process group at once; what waits for it fails."""
        with contextlib.suppress(ProcessLookupError):
            leads_a_group = os.getpgid(self.pid) == self.pid
            (os.killpg if leads_a_group else os.kill)(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(Error):
            self.browser.close()

    def _render(self, html: str) -> Snapshot:
        self.navigated = False
        snapshot = Snapshot("failed", "the page navigated away")
        try:
            drawn = self._draw(html)
            snapshot = snapshot if self.navigated else drawn
        except Error:
            # A page on its way to another address refuses most commands.
            if not self.navigated:
                raise
        if self.navigated or leaves_traces(html):
            self._reset()
        return snapshot

    def _draw(self, html: str) -> Snapshot:
        self.session.send("Page.setDocumentContent", {"frameId": self.frame, "html": html})
        self._settle()
        width, height = self._size()
        picture = self._capture(width, height)
        elements = parse_elements(self._snapshot(), width, height) if self.layout else ()
        return Snapshot("rendered", "", picture, width, height, elements)

    def _settle(self) -> None:
        # Asked for again and again, not awaited: a promise of a document that is navigated away never ends.
        answer = self.session.send("Runtime.evaluate", {"expression": SETTLE + SETTLED})
        while not (self.navigated or answer["result"]["value"]):
            time.sleep(0.002)
            answer = self.session.send("Runtime.evaluate", {"expression": SETTLED})

    def _size(self) -> tuple[int, int]:
        if self.whole:
            answer = self.session.send("Runtime.evaluate", {"expression": FULL_SIZE, "returnByValue": True})
            width, height = answer["result"]["value"]
            width = min(max(self.viewport.width, int(width)), MAX_LENGTH)
            return width, min(max(self.viewport.height, int(height)), MAX_LENGTH, MAX_PIXELS // width)
        size = self.session.send("Page.getLayoutMetrics")["cssContentSize"]
        tallest = self.viewport.height * MAX_VIEWPORT_HEIGHTS
        return self.viewport.width, min(max(self.viewport.height, int(size["height"])), tallest)

    def _capture(self, width: int, height: int) -> bytes:
        options = {
            "format": "png",
            "optimizeForSpeed": True,
            "captureBeyondViewport": (width, height) != (self.viewport.width, self.viewport.height),
            "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
        }
        return base64.b64decode(self._send("Page.captureScreenshot", options)["data"])

    def _snapshot(self) -> dict[str, Any]:
        return self.session.send("DOMSnapshot.captureSnapshot", {"computedStyles": list(STYLES)})

    def _send(self, command: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a command, again where Chromium was just exchanging the page for another."""
        for _ in range(TRIES):
            try:
                return self.session.send(command, options)
            except Error as error:
                if not any(passing in str(error) for passing in PASSING_ERRORS):
                    raise
                time.sleep(0.02)
        return self.session.send(command, options)

    def _on_navigation(self, event: dict[str, Any]) -> None:
        if event.get("frameId") == self.frame:
            self.navigated = True

    def _reset(self) -> None:
        self._send("Page.stopLoading")
        self._send("Page.navigate", {"url": "about:blank"})
        self.frame = self.session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]


def leaves_traces(html: str) -> bool:
    """Whether a document may change how the next one in the same page is drawn.

    A content security policy, a colour scheme and the link colours of a body belong to the page rather than to its
    content, and outlive it. Anything that is not known to be harmless counts.
    """
    return TRACES.search(HARMLESS_META.sub("", html)) is not None

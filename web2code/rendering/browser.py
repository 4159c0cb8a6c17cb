"""One Chromium process with one page, used again for every document."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Error, sync_playwright

from web2code.config import Viewport
from web2code.rendering.chromium import FLAGS, alone, find_chromium, folders_of
from web2code.rendering.limits import Limits
from web2code.rendering.modes import FULL_SIZE, PAGE_DOWN, TO_THE_TOP, Capture
from web2code.rendering.pictures import with_local_pictures
from web2code.rendering.snapshot import STYLES, Snapshot, count_boxes, parse_elements
from web2code.rendering.stylesheets import with_local_stylesheets
from web2code.rendering.watchdog import Watchdog, resident_megabytes

MAX_VIEWPORT_HEIGHTS = 8
# Of a whole page, in pixels.
MAX_LENGTH = 16_384
MAX_PIXELS = 32_000_000
# Of different names of more than a thousand characters each.
MAX_FONT_NAMES = 10_000_000
# Errors that pass, by the seconds that they are borne: a busy machine takes long to exchange a page for another.
PASSING_ERRORS = {"Unable to capture screenshot": 0.1, "Not attached to an active page": 5.0}
CRASHED = "the page crashed Chromium"
GONE = ("has been closed", "Connection closed")
# A frame that takes longer to load is drawn as it is: it may load for ever.
FRAMES_SECONDS = 1.0
NAVIGATION_EVENTS = ("Page.frameRequestedNavigation", "Page.frameScheduledNavigation", "Page.frameStartedNavigating")

# Runs in a page whose own scripts are off. What moves is put at its end, in frames and shadow trees too, and pictures
# and fonts in data URLs are waited for: without it the same page gives different pixels each time. Elements named after
# what a document or a form has hide it, so that all is taken from the prototypes. At the end it holds the number of
# elements, and that of characters in long font names, of which variables make many from one.
SETTLE = """globalThis.settled = null;
globalThis.characters = 0;
globalThis.loaded = () => {};
(async () => {
  const own = (name, root = document) => Reflect.get(Object.getPrototypeOf(root), name, root);
  const within = (root, selector) => own('querySelectorAll', root).call(root, selector);
  if (own('readyState') !== 'complete') await new Promise(done => {
    globalThis.loaded = done;
    addEventListener('load', done, {once: true});
  });
  own('documentElement')?.getBoundingClientRect();  // a layout asks for the fonts
  if (own('fonts').status !== 'loaded') await own('fonts').ready;
  const images = [...own('images')];
  if (images.length) await Promise.all(images.map(image => image.decode().catch(() => {})));
  const shadow = Object.getOwnPropertyDescriptor(Element.prototype, 'shadowRoot').get;
  const roots = [document];
  for (const root of roots) {
    const inner = [...within(root, 'iframe, frame')].map(frame => frame.contentDocument);
    const walker = own('createTreeWalker').call(document, root, NodeFilter.SHOW_ELEMENT);
    while (walker.nextNode()) inner.push(shadow.call(walker.currentNode));
    roots.push(...inner.filter(root => root).slice(0, 1000 - roots.length));  // a page may have any number of them
  }
  const all = selector => roots.flatMap(root => [...within(root, selector)]);
  for (const marquee of all('marquee')) {
    while (marquee.firstChild) marquee.before(marquee.firstChild);
    marquee.remove();
  }
  for (const focused of all('[autofocus]')) {
    const copy = Element.prototype.cloneNode.call(focused, true);
    Element.prototype.removeAttribute.call(copy, 'autofocus');
    Element.prototype.replaceWith.call(focused, copy);
  }
  for (const bar of all('progress:indeterminate')) bar.value = 0;
  for (const svg of all('svg')) { svg.pauseAnimations?.(); svg.setCurrentTime?.(0); }
  const timelines = new Set(roots.map(root => own('timeline', root)));
  const met = new Set();
  for (let round = 0; round < 10; round++) {  // the end of one may be the start of another
    const animations = roots.flatMap(root => own('getAnimations', root).call(root)).filter(moving => !met.has(moving));
    if (!animations.length) break;
    for (const animation of animations) {
      met.add(animation);
      // What scrolling drives would move again after its end.
      if (!timelines.has(animation.timeline)) { animation.cancel(); continue; }
      try { animation.finish(); } catch { animation.cancel(); }
    }
  }
  const names = new Set();
  for (const element of all('*')) for (const part of ['', '::before', '::after']) {
    const name = getComputedStyle(element, part).fontFamily;
    if (name.length > 1000) names.add(name);
  }
  for (const name of names) globalThis.characters += name.length;
})().finally(() => {
  globalThis.settled = [Document.prototype.getElementsByTagName.call(document, '*').length, characters];
});
"""
# Some documents are complete without a load event: a stylesheet whose address is a script, in one of ten times.
SETTLED = """if (Reflect.get(Document.prototype, 'readyState', document) === 'complete') globalThis.loaded?.();
globalThis.settled"""

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
    """A page ended its browser, or had it ended; the message is why."""


class Browser:
    """A page with scripts off and no way out: no network, no files, no navigation, no downloads."""

    def __init__(
        self, viewport: Viewport, layout: bool, capture: Capture, limits: Limits, pictures: Mapping[str, str]
    ) -> None:
        self.viewport, self.layout, self.capture, self.limits = viewport, layout, capture, limits
        self.pictures = pictures
        executable = find_chromium()
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        with contextlib.ExitStack() as opened:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="web2code-")))
            # The driver's process ends with the browser: what a page does to one may have hurt the other.
            playwright = opened.enter_context(sync_playwright())
            self.browser = playwright.chromium.launch(
                executable_path=executable,
                args=list(FLAGS),
                chromium_sandbox=not root,
                env=alone(folder),
                artifacts_dir=folder,
            )
            opened.callback(self._end)
            processes = self.browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
            self.pid = next(process["id"] for process in processes if process["type"] == "browser")
            self.folders = folders_of(self.pid)
            self._open_page()
            # What a page sends goes through the driver, above the browser.
            ancestors = psutil.Process(self.pid).parents()
            self.driver = next((above.pid for above in ancestors if above.ppid() == os.getpid()), self.pid)
            self.idle_megabytes = resident_megabytes(self.driver)
            self.watchdog = self._watchdog()
            self._opened = opened.pop_all()

    @property
    def worn(self) -> bool:
        """Whether the last page cost so much that the next one should meet another browser."""
        return self.watchdog.strained

    def render(self, html: str) -> Snapshot:
        """The picture and elements of a document.

        Raises:
            BrowserDiedError: the page cost more than `limits` allow, or Chromium crashed; this browser is gone.
        """
        if len(html.encode("utf-8", "replace")) > self.limits.html_bytes:
            return Snapshot("failed", f"the document is larger than {self.limits.html_bytes} bytes")
        self.watchdog = self._watchdog()
        try:
            with self.watchdog:
                document = with_local_pictures(with_local_stylesheets(html), self.pictures)
                snapshot = self._render(document)
        except Error as error:
            raise BrowserDiedError(self.watchdog.reason or what_happened(error)) from error
        if self.watchdog.reason:
            raise BrowserDiedError(self.watchdog.reason)
        return snapshot

    def close(self) -> None:
        """End the browser, and leave nothing of it: one that was killed has not removed its folders."""
        self._opened.close()
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _open_page(self) -> None:
        context = self.browser.new_context(
            viewport={"width": self.viewport.width, "height": self.viewport.height},
            java_script_enabled=False,
            offline=True,
            accept_downloads=False,
        )
        self.page = context.new_page()
        self.page.on("crash", lambda page: self.watchdog.end(CRASHED))
        self.session = context.new_cdp_session(self.page)
        self.session.send("Page.enable")
        self.session.send("Network.enable")
        self.session.send(
            "Network.setBlockedURLs", {"urls": ["http://*", "https://*", "ws*://*", "file://*", "ftp://*"]}
        )
        if self.layout:
            self.session.send("DOMSnapshot.enable")
        self._meet_document()
        self.navigated, self.loading = False, set[str]()
        for event in NAVIGATION_EVENTS:
            self.session.on(event, self._on_navigation)
        self.session.on("Page.frameStartedLoading", lambda event: self.loading.add(event["frameId"]))
        for event in ("Page.frameStoppedLoading", "Page.frameDetached"):
            self.session.on(event, lambda event: self.loading.discard(event["frameId"]))

    def _watchdog(self) -> Watchdog:
        return Watchdog(self.pid, self.driver, self.idle_megabytes, self.limits)

    def _end(self) -> None:
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
        self.loading.clear()
        self.session.send("Page.setDocumentContent", {"frameId": self.frame, "html": html})
        too_many = Snapshot("failed", f"the page has more than {self.limits.elements} elements")
        num_elements, num_characters = self._settle()
        if self.layout and num_elements > self.limits.elements:
            return too_many
        if self.layout and num_characters > MAX_FONT_NAMES:
            return Snapshot("failed", f"the page's font names have more than {MAX_FONT_NAMES} characters")
        top, width, height = self._part()
        picture = self._capture(top, width, height)
        boxes = self._boxes() if self.layout else None
        if boxes and count_boxes(boxes) > self.limits.elements:
            return too_many
        if self.capture == "page_down":
            self._evaluate(TO_THE_TOP)
        elements = parse_elements(boxes, width, height, top) if boxes else ()
        return Snapshot("rendered", "", picture, width, height, elements)

    def _settle(self) -> tuple[int, int]:
        """Wait until the page stands still; the numbers of its elements and of characters in its long font names."""
        self._await_frames()
        # Asked for again and again, not awaited: a promise of a document that is navigated away never ends.
        numbers = self._evaluate(SETTLE + SETTLED)
        while not (self.navigated or numbers):
            time.sleep(0.002)
            numbers = self._evaluate(SETTLED)
        self._await_frames()  # an object's is loaded after a layout
        return numbers or (0, 0)

    def _await_frames(self) -> None:
        deadline = time.monotonic() + FRAMES_SECONDS
        while self.loading and not self.navigated and time.monotonic() < deadline:
            time.sleep(0.002)
            self._evaluate("0")  # events come with answers

    def _part(self) -> tuple[float, int, int]:
        """Where in the page the picture begins, its width and its height."""
        if self.capture == "page_down":
            return self._evaluate(PAGE_DOWN), self.viewport.width, self.viewport.height
        if self.capture == "screen":
            return 0, self.viewport.width, self.viewport.height
        if self.capture == "whole":
            width, height = self._evaluate(FULL_SIZE)
            width = min(max(self.viewport.width, int(width)), MAX_LENGTH)
            return 0, width, min(max(self.viewport.height, int(height)), MAX_LENGTH, MAX_PIXELS // width)
        size = self.session.send("Page.getLayoutMetrics")["cssContentSize"]
        tallest = self.viewport.height * MAX_VIEWPORT_HEIGHTS
        return 0, self.viewport.width, min(max(self.viewport.height, int(size["height"])), tallest)

    def _capture(self, top: float, width: int, height: int) -> bytes:
        options = {
            "format": "png",
            "optimizeForSpeed": True,
            "captureBeyondViewport": (width, height) != (self.viewport.width, self.viewport.height),
            "clip": {"x": 0, "y": top, "width": width, "height": height, "scale": 1},
        }
        return base64.b64decode(self._send("Page.captureScreenshot", options)["data"])

    def _boxes(self) -> dict[str, Any]:
        return self.session.send("DOMSnapshot.captureSnapshot", {"computedStyles": list(STYLES)})

    def _evaluate(self, script: str) -> Any:
        options = {"expression": script, "returnByValue": True}
        return self.session.send("Runtime.evaluate", options)["result"].get("value")

    def _send(self, command: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a command, again where Chromium was just exchanging the page for another."""
        began = time.monotonic()
        while True:
            try:
                return self.session.send(command, options)
            except Error as error:
                borne = max((PASSING_ERRORS[passing] for passing in PASSING_ERRORS if passing in str(error)), default=0)
                if time.monotonic() - began >= borne:
                    raise
                time.sleep(0.02)

    def _on_navigation(self, event: dict[str, Any]) -> None:
        if event.get("frameId") == self.frame:
            self.navigated = True

    def _reset(self) -> None:
        self._send("Page.stopLoading")
        self._send("Page.navigate", {"url": "about:blank"})
        self._meet_document()

    def _meet_document(self) -> None:
        self.frame = self.session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        # What `SETTLE` does not find stays at its start: in closed shadow trees, or begun by the capture itself.
        self._send("Animation.setPlaybackRate", {"playbackRate": 0})


def what_happened(error: Error) -> str:
    """Why a browser that nobody killed did not answer a command."""
    line = str(error).splitlines()[0]
    return CRASHED if any(gone in line for gone in GONE) else f"Chromium refused the page: {line}"


def leaves_traces(html: str) -> bool:
    """Whether a document may change how the next one in the same page is drawn.

    A content security policy, a colour scheme and the link colours of a body belong to the page rather than to its
    content, and outlive it. Anything that is not known to be harmless counts.
    """
    return TRACES.search(HARMLESS_META.sub("", html)) is not None

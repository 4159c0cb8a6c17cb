"""Many Chromium processes, fed from one stream of documents."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from types import TracebackType

from playwright.sync_api import Playwright, sync_playwright

from web2code.config import Viewport
from web2code.rendering.browser import Browser, BrowserDiedError
from web2code.rendering.pictures import data_urls
from web2code.rendering.snapshot import Snapshot

# A browser waits for frames more than it computes, so each core carries two.
BROWSERS = 2
AHEAD = 4


class Browsers:
    """`num` browsers, each in its own thread. A page that kills its browser fails, and the browser is started again.

    Args:
        layout: whether a snapshot has the page's elements.
        whole: whether a picture has all of the page, not only what is at most `MAX_VIEWPORT_HEIGHTS` windows high and
            as wide as the window.
        pictures: by file name, those that pages may show.
    """

    def __init__(
        self,
        num: int = BROWSERS,
        viewport: Viewport | None = None,
        layout: bool = True,
        whole: bool = False,
        pictures: Mapping[str, bytes] | None = None,
    ) -> None:
        self.num, self.viewport, self.layout, self.whole = num, viewport or Viewport(), layout, whole
        self.pictures = data_urls(pictures or {})
        self._work: queue.Queue[tuple[str, Future[Snapshot]] | None] = queue.Queue()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Browsers:
        started: queue.Queue[Exception | None] = queue.Queue()
        self._threads = [threading.Thread(target=self._serve, args=(started,), daemon=True) for _ in range(self.num)]
        for thread in self._threads:
            thread.start()
        failures = [error for error in (started.get() for _ in self._threads) if error]
        if failures:
            self.close()
            raise failures[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, html: str) -> Future[Snapshot]:
        """Render one document as soon as a browser is free.

        The future raises what keeps a browser from being started again; what a document does to one is an outcome.
        """
        answer: Future[Snapshot] = Future()
        self._work.put((html, answer))
        return answer

    def render(self, htmls: Iterable[str]) -> Iterator[Snapshot]:
        """A snapshot for each document, in order, with a few documents rendered ahead."""
        pending: deque[Future[Snapshot]] = deque()
        for html in htmls:
            pending.append(self.submit(html))
            if len(pending) >= AHEAD * self.num:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def close(self) -> None:
        """End the browsers; documents that none has begun are dropped."""
        with contextlib.suppress(queue.Empty):
            while (task := self._work.get_nowait()) is not None:
                task[1].cancel()
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join(timeout=30)

    def _start(self, playwright: Playwright) -> Browser:
        return Browser(playwright, self.viewport, self.layout, self.whole, self.pictures)

    def _serve(self, started: queue.Queue[Exception | None]) -> None:
        try:
            with sync_playwright() as playwright:
                browser: Browser | None = self._start(playwright)
                started.put(None)
                while (task := self._work.get()) is not None:
                    html, answer = task
                    try:
                        browser = browser or self._start(playwright)
                        answer.set_result(browser.render(html))
                        continue
                    except BrowserDiedError as error:
                        answer.set_result(Snapshot("failed", f"Chromium died or took too long: {error}"))
                    except Exception as error:
                        # Whoever waits for this document must hear of it, or it waits for ever.
                        answer.set_exception(error)
                    if browser:
                        browser.close()
                    browser = None
                if browser:
                    browser.close()
        except Exception as error:
            started.put(error)

"""Many Chromium processes, fed from one stream of documents."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from types import TracebackType

from web2code.config import Viewport
from web2code.rendering.browser import Browser, BrowserDiedError
from web2code.rendering.limits import Limits
from web2code.rendering.modes import Capture
from web2code.rendering.pictures import data_urls
from web2code.rendering.snapshot import Snapshot
from web2code.rendering.turns import Turns

# A browser waits for frames more than it computes, so each core carries two.
BROWSERS = 2
AHEAD = 4
# Of all browsers of a process: what has a second try has the process to itself.
TURNS = Turns()


class Browsers:
    """`num` browsers, each in its own thread. A page that ends its browser fails, and the browser is started again.

    Args:
        viewport: the window.
        layout: whether snapshots have elements.
        capture: which part of a page is captured.
        limits: what a page may cost.
        pictures: by file name, those that pages may show.
        retry: whether a page that ended its browser is drawn once more, while this process draws nothing else, and only
            then has failed: a busy machine takes longer, and crashes may come by chance.
    """

    def __init__(
        self,
        num: int = BROWSERS,
        viewport: Viewport | None = None,
        layout: bool = True,
        capture: Capture = "page",
        limits: Limits | None = None,
        pictures: Mapping[str, bytes] | None = None,
        retry: bool = False,
    ) -> None:
        self.num, self.viewport, self.layout = num, viewport or Viewport(), layout
        self.capture, self.limits = capture, limits or Limits()
        self.pictures = data_urls(pictures or {})
        self._turns = (TURNS.together, TURNS.alone) if retry else (TURNS.together,)
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

    def _serve(self, started: queue.Queue[Exception | None]) -> None:
        try:
            browser: Browser | None = self._start()
        except Exception as error:
            started.put(error)
            return
        started.put(None)
        while (task := self._work.get()) is not None:
            html, answer = task
            if answer.set_running_or_notify_cancel():
                browser = self._answer(browser, html, answer)
        if browser:
            browser.close()

    def _answer(self, browser: Browser | None, html: str, answer: Future[Snapshot]) -> Browser | None:
        """Answer with a document's snapshot; returns the browser that goes on, if one does."""
        snapshot = Snapshot("failed")
        try:
            for turn in self._turns:
                with turn():
                    browser = browser or self._start()
                    try:
                        snapshot = browser.render(html)
                        break
                    except BrowserDiedError as error:
                        snapshot = Snapshot("failed", str(error))
                        browser.close()
                        browser = None
            answer.set_result(snapshot)
        except Exception as error:
            # Whoever waits for this document must hear of it, or it waits for ever.
            answer.set_exception(error)
        else:
            if browser and not browser.worn:
                return browser
        if browser:
            browser.close()
        return None

    def _start(self) -> Browser:
        return Browser(self.viewport, self.layout, self.capture, self.limits, self.pictures)

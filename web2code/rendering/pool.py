"""Many Chromium processes, fed from one stream of documents."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType

from playwright.sync_api import sync_playwright

from web2code.config import Viewport
from web2code.rendering.browser import Browser, BrowserDiedError
from web2code.rendering.snapshot import Snapshot

AHEAD = 4


class Browsers:
    """`num` browsers, each in its own thread. A page that kills its browser fails, and the browser is started again."""

    def __init__(self, num: int = 2, viewport: Viewport | None = None, layout: bool = True) -> None:
        self.num, self.viewport, self.layout = num, viewport or Viewport(), layout
        self._work: queue.Queue[tuple[str, queue.Queue] | None] = queue.Queue()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Browsers:
        started: queue.Queue[BaseException | None] = queue.Queue()
        self._threads = [threading.Thread(target=self._serve, args=(started,), daemon=True) for _ in range(self.num)]
        for thread in self._threads:
            thread.start()
        failures = [error for error in (started.get() for _ in self._threads) if error]
        if failures:
            self._stop()
            raise failures[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def render(self, htmls: Iterable[str]) -> Iterator[Snapshot]:
        """A snapshot for each document, in order, with a few documents rendered ahead."""
        pending: queue.Queue[queue.Queue[Snapshot]] = queue.Queue()
        for html in htmls:
            answer: queue.Queue[Snapshot] = queue.Queue(1)
            self._work.put((html, answer))
            pending.put(answer)
            if pending.qsize() >= AHEAD * self.num:
                yield pending.get().get()
        while not pending.empty():
            yield pending.get().get()

    def _serve(self, started: queue.Queue) -> None:
        try:
            with sync_playwright() as playwright:
                browser = Browser(playwright, self.viewport, self.layout)
                started.put(None)
                while (task := self._work.get()) is not None:
                    html, answer = task
                    try:
                        answer.put(browser.render(html))
                    except BrowserDiedError as error:
                        answer.put(Snapshot("failed", f"Chromium died or took too long: {error}"))
                        browser.close()
                        browser = Browser(playwright, self.viewport, self.layout)
                browser.close()
        except BaseException as error:
            started.put(error)
            raise

    def _stop(self) -> None:
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join(timeout=30)

"""The seam of engines: requests go in as they come, replies come out as they are finished.

Nothing but the standard library is imported, so that an engine can live in an environment of its own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Request:
    """One question: encoded pictures (`data.images.FORMATS`), then a text; the model's template is the engine's."""

    key: str
    images: tuple[bytes, ...]
    prompt: str
    max_new_tokens: int


@dataclass(frozen=True)
class Reply:
    """What came of a request; `error` says why there is no answer, and is empty where there is one.

    `engine` is the `Engine.version` of what answered, where it is known.
    """

    key: str
    text: str = ""
    error: str = ""
    engine: str = ""


class Inbox:
    """Requests on their way to an engine, put in by another thread, in the bundles in which they were put."""

    def __init__(self) -> None:
        self._bundles: deque[list[Request]] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, requests: Iterable[Request]) -> None:
        """Add requests that may be answered together."""
        with self._changed:
            self._bundles.append(list(requests))
            self._changed.notify()

    def close(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self, wait: bool = True) -> list[Request] | None:
        """The next bundle; an empty one where there is none yet and `wait` is off, None where none will come."""
        with self._changed:
            while wait and not self._bundles and not self._closed:
                self._changed.wait()
            if self._bundles:
                return self._bundles.popleft()
            return None if self._closed else []


class Engine(Protocol):
    """A loaded model."""

    def stream(self, inbox: Inbox) -> Iterator[list[Reply]]:
        """A reply to every request of the inbox, as they are finished, until it is closed; one or several at a time."""
        ...

    def version(self) -> str:
        """What answers, with its version, and how where that is not as asked."""
        ...


def generate(
    engine: Engine, images: Sequence[bytes | Sequence[bytes]], prompts: Sequence[str], max_new_tokens: int
) -> list[str]:
    """The answers to questions in order, each about its picture, or its pictures; an answer that failed is empty."""
    inbox = Inbox()
    inbox.put(
        Request(str(number), (shown,) if isinstance(shown, bytes) else tuple(shown), prompt, max_new_tokens)
        for number, (shown, prompt) in enumerate(zip(images, prompts, strict=True))
    )
    inbox.close()
    texts = {reply.key: reply.text for replies in engine.stream(inbox) for reply in replies}
    return [texts[str(number)] for number in range(len(prompts))]

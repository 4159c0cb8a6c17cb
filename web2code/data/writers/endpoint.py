"""Writes data through an OpenAI-compatible endpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from web2code.config import Endpoint, WriterConfig
from web2code.data.writers.writer import Item, Made, Pair, WriterError
from web2code.endpoint import Client, Question, Unanswered

T = TypeVar("T")
MAX_HTML_CHARS = 24_000

CRITERIA = (
    "layout", "alignment of elements", "proportions", "visual harmony", "colour scheme", "aesthetics", "fonts", "texts",
    "numbers and special characters", "controls such as menus, buttons and forms",
)  # fmt: skip
KINDS = (
    "an online shop", "a company's landing page", "a blog", "a portfolio", "a contact page", "a log-in page", "a forum",
    "an advertisement", "a school", "a charity", "an event", "a news site", "a documentation page", "a restaurant",
)  # fmt: skip


class EndpointWriter:
    """A chat model as writer."""

    def __init__(
        self, config: WriterConfig, endpoint: Endpoint, cache: Path, dry_run: bool = False, paid: Path | None = None
    ) -> None:
        self.name = f"endpoint:{config.model}"
        self.licence = config.licence
        self.client = Client(
            "writer", endpoint, config.model, config.temperature, config.max_tokens, cache, dry_run, paid=paid
        )
        self.meter = self.client.meter

    def page(self, key: str) -> str:
        """A reply that should hold an HTML document about one kind of site."""
        number = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16)
        kind, criterion = KINDS[number % len(KINDS)], CRITERIA[number // len(KINDS) % len(CRITERIA)]
        prompt = (
            f"Write one complete HTML document for {kind} (variant {number % 10_000}). Put all styles into the "
            f"document, use no scripts and no external files. Take particular care of {criterion}. Reply with the "
            "HTML alone."
        )
        return self._ask(key, prompt, _html)

    def texts(self, key: str, slots: list[str]) -> list[str]:
        """Texts that could stand together on one page."""
        prompt = (
            "Write the texts of one web page of a made-up business, as a JSON array of strings, one for each of these "
            f"places in order: {json.dumps(slots)}. A link or button has one to three words, a title two to four, a "
            "sentence eight to fourteen. Reply with the JSON array alone."
        )
        return self._ask(key, prompt, lambda reply: _strings(reply, len(slots)))

    def questions(self, key: str, html: str, num: int) -> list[Pair]:
        """Questions about what is seen on the page, answered from its HTML."""
        prompt = (
            f"Here is the HTML of a web page. Write {num} different questions about what a visitor sees on it (texts, "
            "colours, layout, controls), each with its answer in one full sentence. Do not speak of HTML. Reply with a "
            f'JSON array of {num} objects {{"question": ..., "answer": ...}} alone.\n\n{html[:MAX_HTML_CHARS]}'
        )
        return self._ask(key, prompt, lambda reply: _pairs(reply, num))

    def sentences(self, key: str, pairs: list[Pair]) -> list[str]:
        """Every answer as a full sentence that keeps its fact."""
        asked = [{"question": question, "answer": answer} for question, answer in pairs]
        prompt = (
            "Rewrite each short answer as one full sentence that answers its question and adds nothing. Reply with a "
            f"JSON array of {len(pairs)} strings alone.\n\n{json.dumps(asked, ensure_ascii=False)}"
        )
        return self._ask(key, prompt, lambda reply: _strings(reply, len(pairs)))

    def ahead(self, items: Iterable[Item], make: Callable[[Item], Made]) -> Iterator[Made]:
        """As many rows at once as the configuration allows, in order."""
        return self.client.ahead(items, make)

    def _ask(self, key: str, prompt: str, parse: Callable[[str], T]) -> T:
        try:
            return self.client.ask(key, Question((prompt,)), parse)
        except Unanswered as error:
            raise WriterError(str(error)) from None


def _html(reply: str) -> str:
    if "<html" not in reply.lower():
        raise ValueError("no HTML")
    return reply


def _array(reply: str, num: int) -> list[Any]:
    start, end = reply.find("["), reply.rfind("]")
    values = json.loads(reply[start : end + 1])
    if not isinstance(values, list) or len(values) != num:
        raise ValueError("another number of entries")
    return values


def _strings(reply: str, num: int) -> list[str]:
    values = _array(reply, num)
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise ValueError("no text")
    return [value.strip() for value in values]


def _pairs(reply: str, num: int) -> list[Pair]:
    pairs = [(str(value["question"]).strip(), str(value["answer"]).strip()) for value in _array(reply, num)]
    if not all(question and answer for question, answer in pairs):
        raise ValueError("no text")
    return pairs

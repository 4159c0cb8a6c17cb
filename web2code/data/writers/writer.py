"""What a writer must be able to write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
Pair = tuple[str, str]


class WriterError(ValueError):
    """A row that could not be written; the message is one of a few phrases that can be counted."""


class Writer(Protocol):
    """Writes the texts of new data. `key` names a row: the same key gives the same text.

    Every method raises `WriterError` where a row cannot be written.
    """

    name: str
    licence: str

    def page(self, key: str) -> str:
        """A reply that holds an HTML document."""

    def texts(self, key: str, slots: list[str]) -> list[str]:
        """A text for each slot of a page: `link`, `button`, `title` or `sentence`."""

    def questions(self, key: str, html: str, num: int) -> list[Pair]:
        """`num` questions about a page with answers in sentences."""

    def sentences(self, key: str, pairs: list[Pair]) -> list[str]:
        """The answers of question-answer pairs as sentences."""

    def ahead(self, items: Iterable[Item], make: Callable[[Item], Made]) -> Iterator[Made]:
        """`make(item)` of every item, in order, with as many at once as the writer can take."""

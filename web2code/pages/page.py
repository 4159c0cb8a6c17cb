"""What a page is before it is rendered."""

from __future__ import annotations

from dataclasses import dataclass, field

Facts = dict[str, str | int]


@dataclass(frozen=True)
class Question:
    """A yes/no question about what is seen on a page; `answer` is `Yes` or `No`."""

    question: str
    answer: str
    kind: str


@dataclass(frozen=True)
class Page:
    """The HTML of a page, with a caption and questions that are true of it."""

    id: str
    source: str
    licence: str
    html: str
    caption: str
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Block:
    """A part of a generated page: its style rules, its markup, how a caption names it, and what is true of it.

    The keys of `facts` say which parts are there; the value is a colour's name, a side or a number.
    """

    css: str
    html: str
    phrase: str = ""
    facts: Facts = field(default_factory=dict)

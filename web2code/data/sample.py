"""A training sample: a conversation about at most one picture, with where it comes from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

Role = Literal["user", "assistant"]
ROLES: dict[str, Role] = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
# The marker of public datasets, with the line break that belongs to it.
IMAGE_MARKER = re.compile(r"\n?<image>\n?")
HTML_STARTS = ("<html", "<!doctype")


@dataclass(frozen=True)
class Message:
    """What one side says."""

    role: Role
    text: str


@dataclass(frozen=True)
class ImageFile:
    """A picture on disk, or the entry `member` of the zip archive at `path`."""

    path: Path
    member: str = ""


@dataclass(frozen=True)
class Render:
    """A picture that is yet to be made of a document."""

    html: str


@dataclass(frozen=True)
class Sample:
    """One conversation.

    `image` is the encoded picture, where it lies, or what it is to be made of; it stands before the first message's
    text, where the public formats have the marker `<image>`. `page` groups the
    samples that show one page, so that all are in one split.
    """

    id: str
    part: str
    source: str
    licence: str
    messages: tuple[Message, ...]
    image: ImageFile | Render | bytes | None = None
    page: str = ""
    split: Literal["train", "eval"] = "train"

    @property
    def answer(self) -> str:
        """What the assistant says last."""
        return next((message.text for message in reversed(self.messages) if message.role == "assistant"), "")

    @property
    def html(self) -> str:
        """The answer where it is an HTML document, else nothing."""
        return self.answer if is_html(self.answer) else ""

    def with_image(self, png: bytes) -> Sample:
        """The sample with its picture."""
        return replace(self, image=png)

    def pairs(self) -> list[tuple[str, str]]:
        """Questions with their answers, where roles alternate."""
        texts = [message.text for message in self.messages]
        return list(zip(texts[::2], texts[1::2], strict=False))


@dataclass(frozen=True)
class Rejected:
    """A row that cannot become a sample: `reason` is one of a few phrases that can be counted."""

    id: str
    source: str
    reason: str
    detail: str = ""


Reader = Callable[[Path], Iterator[Sample | Rejected]]


def is_html(text: str) -> bool:
    """Whether a text is an HTML document, as the targets of code pairs are."""
    return text.lstrip()[:9].lower().startswith(HTML_STARTS)


def dialogue(pairs: Iterable[tuple[str, str]]) -> tuple[Message, ...]:
    """Messages of a conversation of questions and answers."""
    return tuple(Message(role, text) for pair in pairs for role, text in zip(("user", "assistant"), pair, strict=True))  # type: ignore[arg-type]


def read_conversation(turns: Any) -> tuple[Message, ...]:
    """Messages of a public `conversations` list (`from`, `value`).

    The image marker is taken out of the first question and nowhere else: in an answer `<image>` is SVG. A leading
    answer is dropped, as LLaVA's `preprocess_v1` does.

    Raises:
        ValueError: it is no list of known roles with texts, or empty; the message is a countable reason.
    """
    if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns:
        raise ValueError("no conversation")
    messages = []
    for turn in turns:
        role = ROLES.get(turn.get("from", "")) if isinstance(turn, dict) else None
        text = turn.get("value") if isinstance(turn, dict) else None
        if role is None or not isinstance(text, str):
            raise ValueError("unknown role or no text")
        messages.append(Message(role, text))
    while messages and messages[0].role == "assistant":
        messages.pop(0)
    if not messages:
        raise ValueError("no question")
    first = messages[0]
    return (replace(first, text=IMAGE_MARKER.sub("", first.text, count=1).strip()), *messages[1:])

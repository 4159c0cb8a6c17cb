"""Public datasets in Parquet files as on the hub: WebSight v0.1 and v0.2, and llava-instruct-mix-vsft."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from web2code.data.builders.asks import CODE_ASK
from web2code.data.images import load_image
from web2code.data.sample import IMAGE_MARKER, Message, Rejected, Sample, dialogue, is_html

BATCH = 32


def read_websight(root: Path) -> Iterator[Sample | Rejected]:
    """Pages of WebSight: columns `image` and `text`; v0.2 is known by its column `llm_generated_idea`.

    Raises:
        ValueError: there is no Parquet file, or one is not whole or lacks a column.
    """
    for name, number, row in rows(root, ("image", "text")):
        source = "websight-v0.2" if "llm_generated_idea" in row else "websight-v0.1"
        identity, html = f"{source}/{name}/{number}", row["text"]
        if not isinstance(html, str) or not is_html(html):
            yield Rejected(identity, source, "text is no HTML document")
            continue
        try:
            image = picture_bytes(row["image"])
        except ValueError as error:
            yield Rejected(identity, source, str(error))
            continue
        yield Sample(
            id=identity, part="WebSight", source=source, licence="CC-BY-4.0", messages=dialogue([(CODE_ASK, html)]),
            image=image, page=identity,
        )  # fmt: skip


def read_vsft(root: Path) -> Iterator[Sample | Rejected]:
    """Conversations of llava-instruct-mix-vsft: `messages` with typed content, and `images`; one picture at most.

    Raises:
        ValueError: there is no Parquet file, or one is not whole or lacks a column.
    """
    source = "llava-instruct-mix-vsft"
    for name, number, row in rows(root, ("messages", "images")):
        identity = f"{source}/{name}/{number}"
        try:
            images = row["images"] or []
            if len(images) > 1:
                raise ValueError("more than one image")
            messages = tuple(_message(message) for message in row["messages"])
            if not messages:
                raise ValueError("no conversation")
            image = picture_bytes(images[0]) if images else None
        except (ValueError, KeyError, TypeError) as error:
            reason = str(error) if type(error) is ValueError else "malformed message"
            yield Rejected(identity, source, reason)
            continue
        yield Sample(
            id=identity, part="vsft", source=source, licence="CC-BY-NC-4.0", messages=messages, image=image,
            page=identity, split="eval" if name.startswith("test") else "train",
        )  # fmt: skip


def rows(root: Path, columns: tuple[str, ...], split: str = "") -> Iterator[tuple[str, int, dict[str, Any]]]:
    """(file name, number of the row in it, row) for every Parquet file below `root` whose name begins with `split`.

    Raises:
        ValueError: there is no such file, or one is not whole or lacks a column.
    """
    files = sorted(root.rglob(f"{split}*.parquet"))
    if not files:
        raise ValueError(f"{root} holds no {split}*.parquet file: download the dataset into it")
    for path in files:
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path} is no whole Parquet file ({str(error).splitlines()[0]})") from None
        if missing := [column for column in columns if column not in file.schema_arrow.names]:
            raise ValueError(f"{path} has no column {missing[0]!r}: it is another dataset")
        number = 0
        for batch in file.iter_batches(batch_size=BATCH):
            for row in batch.to_pylist():
                yield path.stem, number, row
                number += 1


def picture_bytes(image: Any) -> bytes:
    """The encoded picture of a column `image`; ValueError, with a countable reason, where there is none."""
    if not isinstance(image, dict) or not image.get("bytes"):
        raise ValueError("image not found")
    return load_image(image["bytes"])


def _message(message: dict[str, Any]) -> Message:
    if message["role"] not in ("user", "assistant"):
        raise ValueError("unknown role or no text")
    texts = [item["text"] for item in message["content"] if item["type"] == "text" and item.get("text")]
    if not texts:
        raise ValueError("unknown role or no text")
    text = "\n".join(texts).strip()
    return Message(message["role"], IMAGE_MARKER.sub("", text, count=1) if message["role"] == "user" else text)

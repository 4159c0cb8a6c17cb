"""What the public `conversations` files have in common: a JSON array of records that name a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from web2code.data.images import ImageIndex
from web2code.data.json_array import read_array
from web2code.data.sample import Message, Rejected, Sample, read_conversation

ESCAPES = "archive entry leaves its folder"


def read_records(
    path: Path,
    images: ImageIndex,
    source: str,
    licence: str,
    part_of: Callable[[str, tuple[Message, ...]], str],
) -> Iterator[Sample | Rejected]:
    """Samples of a file of `{"id", "image"?, "conversations"}` records, in its order.

    `part_of(image path, messages)` names the part. Ids are made unique by the record's number, since public files
    repeat them. A record without `image` is text alone.

    Raises:
        ValueError: the file is missing or not whole.
    """
    require(path)
    yield from (Rejected(name, source, ESCAPES) for name in images.escaping)
    for number, record in enumerate(read_array(path)):
        yield _sample(f"{source}/{number}", record, images, source, licence, part_of)


def require(path: Path) -> None:
    """Raise a sentence where a file of a public dataset is missing."""
    if not path.exists():
        raise ValueError(f"{path} is missing: download it into {path.parent}, or name the folder that holds it")


def _sample(
    fallback: str,
    record: Any,
    images: ImageIndex,
    source: str,
    licence: str,
    part_of: Callable[[str, tuple[Message, ...]], str],
) -> Sample | Rejected:
    if not isinstance(record, dict):
        return Rejected(fallback, source, "record is no object")
    named = record.get("image") or ""
    name = f"{fallback}/{record.get('id', '')}".rstrip("/")
    try:
        if not isinstance(named, str):
            raise ValueError("image is no path")
        messages = read_conversation(record.get("conversations"))
        image = images.find(named) if named else None
    except ValueError as error:
        return Rejected(name, source, str(error), str(named))
    return Sample(
        id=name,
        part=part_of(named, messages),
        source=source,
        licence=licence,
        messages=messages,
        image=image,
        page=f"{source}/{named}" if named else "",
    )

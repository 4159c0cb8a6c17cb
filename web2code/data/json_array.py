"""A JSON array read one element at a time, whatever the size of the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHUNK = 1 << 22
LARGEST_ELEMENT = 1 << 26
_DELIMITERS = frozenset(" \t\r\n,]")
_BETWEEN = re.compile(r"[\s,]*")


def read_array(path: Path) -> Iterator[Any]:
    """The elements of the array in a UTF-8 file; memory holds one chunk and one element.

    It decodes with the standard library's scanner, so it is as fast as `json.load`.

    Raises:
        ValueError: the file is not an array, or ends or goes wrong inside an element; the message says which.
    """
    decoder = json.JSONDecoder()
    number, position, wanted = 0, 1, CHUNK
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        buffer = file.read(CHUNK).lstrip("\ufeff \t\r\n")
        if not buffer.startswith("["):
            raise ValueError(f"{path} does not hold a JSON array: it starts with {buffer[:20]!r}")
        while True:
            position = _BETWEEN.match(buffer, position).end()  # type: ignore[union-attr]
            if buffer.startswith("]", position):
                return
            try:
                element, end = decoder.raw_decode(buffer, position)
            except json.JSONDecodeError:
                end = len(buffer)
            if buffer[end : end + 1] in _DELIMITERS:  # where a chunk ends, a number might go on
                yield element
                number, position, wanted = number + 1, end, CHUNK
                continue
            if len(buffer) - position > LARGEST_ELEMENT:
                raise ValueError(f"{path}: element {number} is no JSON, or longer than {LARGEST_ELEMENT} characters")
            more = file.read(wanted)
            if not more:
                raise ValueError(f"{path} ends inside element {number}, so it is not whole: download it again")
            buffer, position, wanted = buffer[position:] + more, 0, wanted * 2

"""LLaVAR-2: conversations in groups of four turns, an extractive pair followed by the pair that explains it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from web2code.data.images import ImageIndex
from web2code.data.readers.conversations import read_records, require
from web2code.data.sample import Message, Rejected, Sample

LICENCE = "CC-BY-NC-4.0"
GROUP = 4


def read_llavar2(root: Path) -> Iterator[Sample | Rejected]:
    """Samples of every `.json` file in `root`, with pictures from the folders beside them.

    A conversation of whole groups of four is part `LLaVAR-2`, its captions (one pair) part `LLaVAR-2-captions`;
    another length is rejected, because the pairs of an extraction and its explanation would be lost.

    Raises:
        ValueError: no file is there, or one is not whole.
    """
    files = sorted(root.glob("*.json"))
    if not files:
        require(root / "llavar2.json")
    images = ImageIndex([root])
    for path in files:
        for row in read_records(path, images, f"llavar2/{path.stem}", LICENCE, _part_of):
            if isinstance(row, Sample) and row.part == "":
                yield Rejected(row.id, row.source, "turns are not in groups of four", str(len(row.messages)))
            else:
                yield row


def _part_of(image: str, messages: tuple[Message, ...]) -> str:
    if len(messages) == 2:
        return "LLaVAR-2-captions"
    return "LLaVAR-2" if len(messages) % GROUP == 0 else ""

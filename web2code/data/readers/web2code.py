"""MBZUAI/Web2Code as published: instruction records, question files, image archive, and the evaluation set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from web2code.data.images import ImageIndex
from web2code.data.readers.conversations import ESCAPES, read_records, require
from web2code.data.sample import Message, Rejected, Sample, dialogue, is_html

SOURCE, LICENCE = "web2code", "MIT"
BOOTSTRAP = "bootstrapcdn.com/bootstrap"
FILES = ("Web2Code.json", "GPT4_QA.json", "WebSRC_QA.json")


def read_web2code(root: Path) -> Iterator[Sample | Rejected]:
    """Samples of whichever of the three record files are in `root`, with pictures from `Web2Code_image.zip` or folders.

    Raises:
        ValueError: none of the files is there, or one is not whole.
    """
    there = [root / name for name in FILES if (root / name).exists()]
    if not there:
        require(root / FILES[0])
    archive = root / "Web2Code_image.zip"
    images = ImageIndex([archive] if archive.exists() else [root])
    yield from chain.from_iterable(
        read_records(path, images, f"{SOURCE}/{path.stem}", LICENCE, _part_of(path.name)) for path in there
    )


def read_wub(root: Path) -> Iterator[Sample | Rejected]:
    """The 5,990 yes/no items of the Webpage Understanding Benchmark (`Web2Code_eval.jsonl`), as held-out samples.

    Raises:
        ValueError: the file is missing, or a line of it is no JSON.
    """
    path, archive = root / "Web2Code_eval.jsonl", root / "Web2Code_image_eval.zip"
    require(path)
    images = ImageIndex([archive] if archive.exists() else [root])
    yield from (Rejected(name, "wub", ESCAPES) for name in images.escaping)
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number} is no JSON ({error.msg}): download it again") from None
            name = f"wub/{number}/{row.get('question_id', '')}".rstrip("/")
            try:
                image = images.find(str(row.get("image", "")))
                question, answer = row.get("Q"), row.get("A")
                if not question or answer not in ("Yes", "No"):
                    raise ValueError("no question or no yes/no answer")
            except ValueError as error:
                yield Rejected(name, "wub", str(error), str(row.get("image", "")))
                continue
            yield Sample(
                id=name, part="WUB", source="wub", licence=LICENCE, messages=dialogue([(question, answer)]),
                image=image, page=f"wub/{row['image']}", split="eval",
            )  # fmt: skip


def _part_of(file: str):
    """Which of the four parts a record belongs to.

    The question files are a part each. The published records do not say whether a code pair is new or refined:
    pages that link Bootstrap come from Pix2Code, and a path may name WebSight or Pix2Code; the rest counts as new.
    """

    def code_part(image: str, messages: tuple[Message, ...]) -> str:
        answer = messages[-1].text
        if not is_html(answer):
            return "DWU"
        refined = BOOTSTRAP in answer or "websight" in image.lower() or "pix2code" in image.lower()
        return "DWCG_R" if refined else "DWCG"

    return {
        "GPT4_QA.json": lambda image, messages: "DWU",
        "WebSRC_QA.json": lambda image, messages: "DWU_R",
    }.get(file, code_part)

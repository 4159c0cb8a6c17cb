"""Reading a `Web2Code.json` of full size (1.64 GB, synthesised in that layout), against `json.load`."""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path
from random import Random

from benchmarks.arms import interleave, report
from web2code.data.json_array import read_array
from web2code.data.writers.procedural import ProceduralWriter

SIZE = 1_640_000_000


def synthesise(path: Path, size: int = SIZE) -> None:
    """Records of the published layout with code pairs of about two thousand characters."""
    rng, writer = Random(0), ProceduralWriter(0)
    pages = [writer.page(f"p/{i}") for i in range(400)]
    with open(path, "w", encoding="utf-8") as file:
        file.write("[")
        number = 0
        while file.tell() < size:
            html = "\n".join(rng.choice(pages) for _ in range(4))
            turns = [{"from": "human", "value": "<image>\nWrite HTML."}, {"from": "gpt", "value": html}]
            record = {"id": str(number), "image": f"part/{number:07}.png", "conversations": turns}
            file.write((", " if number else "") + json.dumps(record))
            number += 1
        file.write("]")


def load(path: Path) -> list[int]:
    """Number of records and of characters, by `json.load`."""
    with open(path, encoding="utf-8") as file:
        return _sum(json.load(file))


def stream(path: Path) -> list[int]:
    """The same, by reading one record at a time."""
    return _sum(read_array(path))


def _sum(records) -> list[int]:
    num = characters = 0
    for record in records:
        num += 1
        characters += len(record["conversations"][1]["value"])
    return [num, characters]


def main() -> None:
    """Measure both."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Web2Code.json"
        synthesise(path)
        arms = interleave({"json.load": partial(load, path), "read_array": partial(stream, path)})
        report("Reading Web2Code.json", path.stat().st_size / 1e6, "MB", arms)


if __name__ == "__main__":
    main()

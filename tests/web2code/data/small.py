"""Small datasets written directly, for tests of what reads them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw

from web2code.config import DataConfig, DatasetRecord, SourceConfig
from web2code.data import shards
from web2code.data.rows import build_row
from web2code.data.sample import Rejected, Sample, dialogue
from web2code.data.tokens import token_counter


def drawing(number: int) -> bytes:
    """A picture like no other."""
    rng = Random(number)
    image = Image.new("RGB", (96, 96), "white")
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = rng.randrange(80), rng.randrange(80)
        draw.rectangle((x, y, x + rng.randrange(4, 40), y + rng.randrange(4, 40)), fill=rng.choice(["black", "gray"]))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def page(number: int) -> str:
    """A document like no other."""
    words = " ".join(f"word{number}x{i}" for i in range(60))
    return f"<html><body><h1>Page {number}</h1><p>{words}</p></body></html>"


def sample(number: int, **changes) -> Sample:
    """A code pair like no other, with some of its fields replaced."""
    fields: dict = {
        "id": f"s{number}", "part": "DWCG", "source": "test", "licence": "MIT", "image": drawing(number),
        "messages": dialogue([("Write HTML.", page(number))]), "page": f"p{number}",
    }  # fmt: skip
    return Sample(**{**fields, **changes})


def write_dataset(folder: Path, samples: Sequence[Sample], rejected: Sequence[Rejected] = ()) -> DatasetRecord:
    """A dataset of these samples, a shard for each part and split."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [build_row(one, token_counter("")) for one in samples]
    bad = [row for row in rows if isinstance(row, Rejected)]
    groups: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        if not isinstance(row, Rejected):
            groups.setdefault((row["part"], row["split"]), []).append(row)
    made = [shards.write_shard(folder, group) for group in groups.values()]
    record = DatasetRecord(fingerprint="0" * 16, data=DataConfig(sources=(SourceConfig(name="written"),)))
    return shards.finish(folder, record, made, [*rejected, *bad])

"""Pictures of the gallery: reference, generated page, and where they differ."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from web2code.data.images import decode_image

PICTURE_WIDTH = 256
MAX_HEIGHT = 512


@dataclass(frozen=True)
class Case:
    """One page of the gallery; pictures are data URIs, empty where there is none."""

    row: dict[str, Any]
    reference: str
    generated: str
    difference: str


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON lines file; none where it is not there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def choose(rows: list[dict[str, Any]], key: str, worst: int, middle: int, best: int) -> list[tuple[str, list[dict]]]:
    """The worst rows by `key` first, then those around the median, then the best; no row twice."""
    ordered = sorted(rows, key=lambda row: row[key])
    if len(ordered) <= worst + middle + best:
        return [("All, worst first", ordered)]
    centre = len(ordered) // 2 - middle // 2
    centre = max(worst, min(centre, len(ordered) - best - middle))
    return [
        ("Worst", ordered[:worst]),
        ("Median", ordered[centre : centre + middle]),
        ("Best", ordered[len(ordered) - best :][::-1]),
    ]


def make_case(row: dict[str, Any], reference: Path, generated: Path) -> Case:
    """Pictures of one row, scaled down."""
    first = _open(reference)
    second = _open(generated)
    difference = _difference(first, second) if first and second else None
    return Case(row, data_uri(first), data_uri(second), data_uri(difference))


def data_uri(image: Image.Image | None) -> str:
    """A picture as a WebP data URI; empty for none."""
    if image is None:
        return ""
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()


def thumbnail(data: bytes, width: int = PICTURE_WIDTH, max_height: int = MAX_HEIGHT) -> Image.Image:
    """An encoded picture scaled to a width, and cut where it is very tall."""
    image = decode_image(data)
    image = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.BOX)
    return image.crop((0, 0, width, min(image.height, max_height)))


def _open(path: Path) -> Image.Image | None:
    return thumbnail(path.read_bytes()) if path.exists() else None


def _difference(first: Image.Image, second: Image.Image) -> Image.Image:
    height = max(first.height, second.height)
    pages = []
    for image in (first, second):
        page = Image.new("RGB", (PICTURE_WIDTH, height), (255, 255, 255))
        page.paste(image)
        pages.append(np.asarray(page).astype(int))
    distance = np.abs(pages[0] - pages[1]).max(axis=-1)
    shown = np.stack([np.full_like(distance, 255), 255 - distance, 255 - distance], axis=-1)
    return Image.fromarray(shown.astype(np.uint8))

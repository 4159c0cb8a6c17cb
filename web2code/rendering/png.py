"""The pixels of a picture; of one that Chromium wrote, in half the time that a decoder for any PNG takes."""

from __future__ import annotations

import io
import struct
import zlib
from itertools import pairwise

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
EIGHT_BIT_RGB = (8, 2, 0, 0, 0)
UP = 2


def pixels_of(picture: bytes) -> np.ndarray:
    """sRGB of shape (height, width, 3), uint8.

    In a hurry Chromium stores what each row adds to the one above it (PNG specification, filter type 2); whatever is
    written in another way is left to Pillow.
    """
    if picture.startswith(SIGNATURE) and (pixels := _differences_of_rows(picture)) is not None:
        return pixels
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image.convert("RGB"))


def _differences_of_rows(png: bytes) -> np.ndarray | None:
    header, data = b"", []
    start = len(SIGNATURE)
    while start < len(png):
        length, kind = struct.unpack(">I4s", png[start : start + 8])
        if kind == b"IHDR":
            header = png[start + 8 : start + 8 + length]
        elif kind == b"IDAT":
            data.append(png[start + 8 : start + 8 + length])
        start += length + 12
    width, height, *form = struct.unpack(">IIBBBBB", header)
    if tuple(form) == EIGHT_BIT_RGB:
        rows = np.frombuffer(zlib.decompress(b"".join(data)), np.uint8).reshape(height, 1 + 3 * width)
        if (rows[:, 0] == UP).all():
            pixels = rows[:, 1:].copy()
            for above, row in pairwise(pixels):
                row += above
            return pixels.reshape(height, width, 3)
    return None

"""Screenshots from a user's folder or a benchmark's files, which are hostile until they are decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from web2code.data.images import FORMATS, MAX_PIXELS, SUFFIXES, is_left_by_macos

MAX_BYTES = 30_000_000


@dataclass(frozen=True)
class Screenshot:
    """A real screenshot without reference HTML; `problem` says why it cannot be used."""

    id: str
    png: bytes
    problem: str = ""


def read_screenshots(folder: str) -> list[Screenshot]:
    """Every picture of a folder, in a fixed order; one that cannot be used is kept with the reason.

    The id is the path below the folder, with `/` and what may not be in a file name as `%2F` and so on.
    """
    if not folder:
        return []
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file() and path.suffix.lower() in SUFFIXES)
    names = {path: path.relative_to(folder) for path in paths}
    return [_read(path, quote(str(name), safe=" ()+,=@")) for path, name in names.items() if not is_left_by_macos(name)]


def write_screenshots(screenshots: list[Screenshot], folder: Path) -> None:
    """Copies of those that can be used, as they are."""
    for shot in screenshots:
        if not shot.problem:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{shot.id}.png").write_bytes(shot.png)


def scaled_png(data: bytes, max_side: int) -> bytes:
    """The picture as PNG in RGB, without whatever else its file says, and with no side longer than `max_side` pixels.

    Raises:
        ValueError: it cannot be decoded, or has more than `MAX_PIXELS`.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError("the picture has too many pixels")
            picture = image.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError):
        raise ValueError("the picture cannot be decoded") from None
    picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    picture.info.clear()
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _read(path: Path, name: str) -> Screenshot:
    if path.stat().st_size > MAX_BYTES:
        return Screenshot(name, b"", f"the file is larger than {MAX_BYTES} bytes")
    data = path.read_bytes()
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return Screenshot(name, b"", f"{image.width}x{image.height} pixels are over the limit of {MAX_PIXELS}")
            image.load()
    except Image.DecompressionBombError:
        return Screenshot(name, b"", f"its pixels are over the limit of {MAX_PIXELS}")
    except (OSError, ValueError, SyntaxError) as error:
        return Screenshot(name, b"", f"it cannot be decoded ({type(error).__name__})")
    return Screenshot(name, data)

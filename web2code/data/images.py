"""Pictures of public datasets: found by the paths that records name, and opened with care.

Nothing is unpacked: an entry of an archive is read into memory, so that none can leave its folder.
"""

from __future__ import annotations

import io
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePath, PurePosixPath

from PIL import Image

from web2code.data.sample import ImageFile

# What is decoded anywhere, as Pillow calls it: of whatever else it reads, some start other programs, or are little used
# and little tested.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"}
# The last of a PNG file's chunks, with its checksum.
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
# The largest picture that is decoded: a page of 1920 pixels' width may be 33,000 high.
MAX_PIXELS = 64_000_000
MAX_BYTES = 64 * 1024**2


class ImageIndex:
    """Every picture in some folders and zip archives, found by path, else by base name, else by stem.

    Records of Web2Code name paths that differ from the archive's, and mix665k calls every OCR-VQA picture `.jpg`.
    Where all pictures have one name, as ScienceQA's in a folder each, only the `exact` path finds one.
    """

    def __init__(self, places: Iterable[Path], exact: bool = False) -> None:
        self._exact = exact
        self._by_path: dict[str, ImageFile] = {}
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        self._by_stem: defaultdict[str, list[str]] = defaultdict(list)
        self.escaping: list[str] = []
        for place in places:
            for name, image in _pictures(place):
                path = PurePosixPath(name)
                if path.is_absolute() or ".." in path.parts:
                    self.escaping.append(name)
                elif name not in self._by_path:
                    self._by_path[name] = image
                    self._by_name[path.name].append(name)
                    self._by_stem[path.stem].append(name)

    def __len__(self) -> int:
        return len(self._by_path)

    def names(self) -> list[str]:
        """Their paths, in alphabetic order."""
        return sorted(self._by_path)

    def find(self, named: str) -> ImageFile:
        """The picture that a record names.

        Raises:
            ValueError: it is not there, or several fit equally; the message is a countable reason.
        """
        path = PurePosixPath(named.replace("\\", "/").lstrip("./"))
        if found := self._by_path.get(str(path)):
            return found
        if self._exact:
            raise ValueError("image not found")
        candidates = self._by_name.get(path.name) or self._by_stem.get(path.stem) or []
        if not candidates:
            raise ValueError("image not found")
        ranked = sorted(candidates, key=lambda name: -_common_tail(path, PurePosixPath(name)))
        if len(ranked) > 1 and _tails(path, ranked[0]) == _tails(path, ranked[1]):
            raise ValueError("image path is ambiguous")
        return self._by_path[ranked[0]]


def load_image(image: ImageFile | bytes) -> bytes:
    """The encoded picture.

    Raises:
        ValueError: it cannot be read or is too large a file; the message is a countable reason.
    """
    if isinstance(image, bytes):
        return image
    try:
        if not image.member:
            _check_size(image.path.stat().st_size)
            return image.path.read_bytes()
        archive = _archive(str(image.path))
        _check_size(archive.getinfo(image.member).file_size)
        return archive.read(image.member)
    except (OSError, KeyError, zipfile.BadZipFile, RuntimeError, EOFError):
        raise ValueError("image cannot be read") from None


def image_size(data: bytes) -> tuple[int, int]:
    """Width and height, from the header alone, of a picture that is safe to decode; a PNG must also have its end.

    Raises:
        ValueError: it is none of `FORMATS`, or has more than `MAX_PIXELS`; the message is a countable reason.
    """
    try:
        # `open` reads the header; Pillow's own guard would only warn below twice its limit.
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        raise ValueError("image has too many pixels") from None
    except (OSError, ValueError, SyntaxError):
        raise ValueError("image does not decode") from None
    if width * height > MAX_PIXELS:
        raise ValueError("image has too many pixels")
    if data.startswith(PNG_START) and data.rfind(PNG_END) < 0:
        raise ValueError("image does not decode")
    return width, height


def decode_image(data: bytes) -> Image.Image:
    """The decoded picture, in RGB.

    Raises:
        ValueError: as `image_size`.
    """
    image_size(data)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError):
        raise ValueError("image does not decode") from None


def is_left_by_macos(path: PurePath) -> bool:
    """Whether a file is what macOS puts beside each one that it packs or copies, by the same name but for its start."""
    return path.name.startswith("._") or "__MACOSX" in path.parts


def _pictures(place: Path) -> Iterable[tuple[str, ImageFile]]:
    if place.is_dir():
        for path in sorted(place.rglob("*")):
            if path.suffix.lower() in SUFFIXES and not is_left_by_macos(path.relative_to(place)):
                yield path.relative_to(place).as_posix(), ImageFile(path)
    elif place.exists():
        for entry in _archive(str(place)).infolist():
            name = PurePosixPath(entry.filename)
            if name.suffix.lower() in SUFFIXES and not is_left_by_macos(name):
                yield entry.filename, ImageFile(place, entry.filename)
    else:
        raise ValueError(f"{place} is missing: it holds the pictures; download it")


@lru_cache(maxsize=8)
def _archive(path: str) -> zipfile.ZipFile:
    """An open archive; the directory of 30 GB with a million entries takes seconds to read, so it is kept."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{path} is no whole zip archive ({error}): download it again") from None


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise ValueError("image file is too large")


def _common_tail(left: PurePosixPath, right: PurePosixPath) -> int:
    """Number of equal folder names, counted from the end."""
    equal = 0
    for a, b in zip(reversed(left.parent.parts), reversed(right.parent.parts), strict=False):
        if a != b:
            break
        equal += 1
    return equal


def _tails(path: PurePosixPath, name: str) -> int:
    return _common_tail(path, PurePosixPath(name))

"""Committed directories: what a step leaves behind, complete or not there at all."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import fsspec
from pydantic import BaseModel

MANIFEST = "manifest.json"
RECORD = "record.json"
COMMITTED = "COMMITTED"

T = TypeVar("T", bound=BaseModel)


class CorruptArtifactError(ValueError):
    """A committed directory whose files no longer match its manifest."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a local file, as lower-case hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def replace_text(path: Path, text: str) -> None:
    """Write a small file so that a kill leaves the old one or the new one, never half; its folder is made."""
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes) -> None:
    """The same of bytes. Of several that write one file at the same time, each writes it whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.unfinished")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)


def publish(local: Path, url: str, record: BaseModel) -> None:
    """Make `local` the complete content of `url` and commit it.

    The manifest (path, bytes, sha256 of every file) goes first and the marker last: object stores have no rename, so
    the marker is the commit, and readers ignore a directory without it. `local` may be `url` itself.
    """
    files = {
        str(path.relative_to(local)): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in _files(local)
    }
    fs, root = fsspec.core.url_to_fs(url)
    if fs.exists(f"{root}/{COMMITTED}"):
        fs.rm(f"{root}/{COMMITTED}")
    fs.makedirs(root, exist_ok=True)
    if Path(root) != local:
        for name in files:
            fs.put_file(str(local / name), f"{root}/{name}")
    fs.pipe_file(f"{root}/{RECORD}", record.model_dump_json(indent=2).encode())
    manifest = json.dumps({"files": files}, indent=1).encode()
    fs.pipe_file(f"{root}/{MANIFEST}", manifest)
    fs.pipe_file(f"{root}/{COMMITTED}", hashlib.sha256(manifest).hexdigest().encode())


def read_record(url: str, kind: type[T]) -> T | None:
    """The record of a committed directory; None where nothing is committed."""
    fs, root = fsspec.core.url_to_fs(url)
    if not _is_committed(fs, root):
        return None
    return kind.model_validate_json(fs.cat_file(f"{root}/{RECORD}"))


def verify(url: str) -> None:
    """Check every file of a committed local directory against its manifest.

    Raises:
        CorruptArtifactError: a file is missing or differs; the message names it.
    """
    root = Path(fsspec.core.url_to_fs(url)[1])
    if not (root / COMMITTED).exists():
        raise CorruptArtifactError(f"{root} is not committed: the step that makes it did not finish; run it again")
    manifest = (root / MANIFEST).read_bytes()
    if hashlib.sha256(manifest).hexdigest() != (root / COMMITTED).read_text().strip():
        raise CorruptArtifactError(f"{root / MANIFEST} does not match its commit marker; delete {root} and run again")
    for name, entry in json.loads(manifest)["files"].items():
        path = root / name
        if not path.exists():
            raise CorruptArtifactError(f"{path} is missing; delete {root} and run again")
        if path.stat().st_size != entry["bytes"] or sha256_of(path) != entry["sha256"]:
            raise CorruptArtifactError(f"{path} is corrupt (sha256 differs); delete {root} and run again")


def _is_committed(fs: fsspec.AbstractFileSystem, root: str) -> bool:
    if not (fs.exists(f"{root}/{COMMITTED}") and fs.exists(f"{root}/{MANIFEST}")):
        return False
    return fs.cat_file(f"{root}/{COMMITTED}").decode() == hashlib.sha256(fs.cat_file(f"{root}/{MANIFEST}")).hexdigest()


def _files(root: Path) -> Iterator[Path]:
    own = {root / MANIFEST, root / RECORD, root / COMMITTED}
    return (path for path in sorted(root.rglob("*")) if path.is_file() and path not in own)

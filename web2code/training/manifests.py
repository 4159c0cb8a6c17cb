"""What workers say of the checkpoints they wrote: read without torch, so that it can be asked before any is started."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from web2code.artifacts import CorruptArtifactError, replace_text
from web2code.config import digest


def require_own(folder: Path, identity: str) -> None:
    """Nothing, where all checkpoints below a folder, as far as they say, are of this training.

    Raises:
        ValueError: one is of another.
    """
    for directory in sorted(folder.glob("step-*/"), reverse=True):
        for rank in range(num_writers(directory)):
            with suppress(OSError, CorruptArtifactError):  # not written yet, or damaged: another worker's may do
                found = read_manifest(directory, rank)["identity"]
                if found != identity:
                    raise ValueError(
                        f"{directory} is a checkpoint of {found or 'no named training'}, not of {identity}, which has "
                        "other settings, data or code: remove it from this folder and run again"
                    )
                break


def step_of(directory: Path) -> int:
    """The number of finished steps."""
    return int(directory.name.split("-")[1])


def num_writers(directory: Path) -> int:
    """The number of workers that wrote it."""
    return int(directory.name.rpartition("-")[2])


def is_finished(directory: Path) -> bool:
    """Whether all of them did."""
    return len(list(directory.glob("manifest-*.json"))) == num_writers(directory)


def manifest_path(directory: Path, rank: int) -> Path:
    """Where a worker's manifest lies, its last file in a checkpoint."""
    return directory / f"manifest-{rank}.json"


def write_manifest(directory: Path, rank: int, content: dict[str, Any]) -> None:
    """Write a worker's manifest, with the checksum of its own content."""
    replace_text(manifest_path(directory, rank), json.dumps(content | {"sha256": digest(content)}))
    sync(manifest_path(directory, rank))


def read_manifest(directory: Path, rank: int) -> dict[str, Any]:
    """The content of a worker's manifest.

    Raises:
        CorruptArtifactError: it is not what was written.
    """
    path = manifest_path(directory, rank)
    try:
        content = json.loads(path.read_bytes())
        if content.pop("sha256") == digest(content):
            return content
    except (ValueError, KeyError, AttributeError, TypeError):
        pass  # no JSON, or no object with a checksum
    raise CorruptArtifactError(f"{path.name} is corrupt")


def sync(path: Path) -> None:
    """Wait until a file is on its disk: what it stands in for is removed soon after."""
    with path.open("rb") as file:
        os.fsync(file.fileno())

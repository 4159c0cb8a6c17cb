"""A worker's share of a DeepSpeed checkpoint, checked before it is loaded."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import deepspeed

from web2code.artifacts import CorruptArtifactError, sha256_of
from web2code.training.loop import History

TAG = "state"


def save(engine: deepspeed.DeepSpeedEngine, directory: Path, rank: int, step: int, history: History) -> None:
    """Write this worker's files and, last, their checksums; every worker must call this."""
    engine.save_checkpoint(str(directory), tag=TAG, client_state={"step": step}, save_latest=False)
    files = {
        str(path.relative_to(directory)): sha256_of(path) for path in sorted(directory.rglob("*")) if path.is_file()
    }
    manifest = {"step": step, "history": asdict(history), "files": files}
    (directory / f"manifest-{rank}.json").write_text(json.dumps(manifest))


def load(engine: deepspeed.DeepSpeedEngine, directory: Path, rank: int) -> tuple[int, History]:
    """Restore weights and optimizer; returns the number of finished steps and the history.

    DeepSpeed unpickles its files, so only those that this worker wrote, checksums included, are read.

    Raises:
        CorruptArtifactError: a file is missing or differs.
    """
    manifest = json.loads((directory / f"manifest-{rank}.json").read_text())
    for name, expected in manifest["files"].items():
        if not (directory / name).exists() or sha256_of(directory / name) != expected:
            raise CorruptArtifactError(f"{directory / name} is missing or corrupt; delete {directory} and run again")
    engine.load_checkpoint(str(directory), tag=TAG)
    return manifest["step"], History(**manifest["history"])

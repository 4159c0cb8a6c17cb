"""A worker's share of a DeepSpeed checkpoint, checked before it is loaded."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import deepspeed
import torch.distributed as dist

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


def damage(directory: Path, rank: int) -> str:
    """What is wrong with this worker's share of a checkpoint, as a sentence; empty where it is whole."""
    manifest = directory / f"manifest-{rank}.json"
    if not manifest.exists():
        return f"{manifest} is missing"
    for name, expected in json.loads(manifest.read_text())["files"].items():
        if not (directory / name).exists() or sha256_of(directory / name) != expected:
            return f"{directory / name} is missing or corrupt"
    return ""


def load(engine: deepspeed.DeepSpeedEngine, directory: Path, rank: int) -> tuple[int, History]:
    """Restore weights and optimizer from a whole checkpoint; returns the number of finished steps and the history.

    DeepSpeed unpickles its files: `damage` says whether they are those that this worker wrote.
    """
    manifest = json.loads((directory / f"manifest-{rank}.json").read_text())
    engine.load_checkpoint(str(directory), tag=TAG)
    return manifest["step"], History(**manifest["history"])


def newest_whole(candidates: list[Path], rank: int) -> Path | None:
    """The first of some checkpoints, newest first, that every worker finds whole; every worker must call this.

    What is passed over is told as a warning. None where there is no candidate.

    Raises:
        CorruptArtifactError: there are candidates, and all of them are damaged.
    """
    for directory in candidates:
        problem = damage(directory, rank)
        problems: list[str] = [""] * dist.get_world_size()
        dist.all_gather_object(problems, problem)
        if not any(problems):
            return directory
        if rank == 0:
            print(f"warning: {next(filter(None, problems))}; going back to the checkpoint before it", flush=True)
    if candidates:
        raise CorruptArtifactError(f"every checkpoint in {candidates[0].parent} is damaged: delete it and run again")
    return None

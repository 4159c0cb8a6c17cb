"""Unfinished runs of a stage with other settings, data or code: told of at the start, since they are not continued."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from web2code.artifacts import read_record, replace_text
from web2code.config import PreparedRecord, TrainJob

# Below the folder of a stage's checkpoints: what they are of.
IDENTITY = "identity.json"


def note_identity(job: TrainJob, folder: Path) -> None:
    """Leave in the folder of a stage's checkpoints what it trains, on which dataset."""
    replace_text(folder / IDENTITY, json.dumps({"dataset": _dataset(job), **job.identity()}, indent=1))


def unfinished_others(job: TrainJob, folder: Path) -> Iterator[str]:
    """A sentence about each other run of the stage on the same dataset whose checkpoints lie beside `folder`."""
    own = {"dataset": _dataset(job), **job.identity()}
    for path in sorted(folder.parent.glob(f"*/{IDENTITY}")):
        # A run that is over removes its folder.
        with suppress(OSError, ValueError, KeyError, TypeError):
            other = json.loads(path.read_text(encoding="utf-8"))
            alike = (other["stage"]["name"], other["dataset"]) == (job.stage.name, own["dataset"])
            if alike and path.parent != folder and (step := _newest_step(path.parent)):
                yield (
                    f"{job.stage.name}: an unfinished run of this stage on the same dataset is at step {step} in "
                    f"{path.parent}; it is not continued, for it differs in {', '.join(_differences(other, own))}: "
                    "unless it is running, or you mean to go back to that, remove the folder"
                )


def _dataset(job: TrainJob) -> str:
    record = read_record(f"{job.where.home}/artifacts/prepared/{job.prepared}", PreparedRecord)
    return record.dataset_version if record else job.prepared


def _newest_step(folder: Path) -> int:
    return max((int(path.parent.name.split("-")[1]) for path in folder.glob("step-*/manifest-*.json")), default=0)


def _differences(other: dict[str, Any], own: dict[str, Any]) -> list[str]:
    """What differs, by name; of the stage, which of its fields."""
    names = [name for name in sorted({*other, *own} - {"stage"}) if other.get(name) != own.get(name)]
    fields = sorted({*other["stage"], *own["stage"]})
    return names + [f"stage.{name}" for name in fields if other["stage"].get(name) != own["stage"].get(name)]

"""Whether the home has room for what a run will write there, told before anything starts."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from web2code.artifacts import COMMITTED
from web2code.config import ModelConfig

if TYPE_CHECKING:
    from web2code.plan import Plan

# For all but the models and checkpoints of full-size recipes, which are counted.
NEEDED_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Need:
    """What lies in the home at one time of a run, in bytes; what is there already is `there`."""

    models: int
    stage: str = ""
    num_checkpoints: int = 0
    checkpoint: int = 0
    there: int = 0

    @property
    def total(self) -> int:
        """What must be free."""
        return self.models + self.num_checkpoints * self.checkpoint - self.there


@dataclass(frozen=True)
class Size:
    """Bytes of a stage's model, and of its checkpoints as many as there are at once."""

    name: str
    model: int
    checkpoint: int
    num_checkpoints: int


def require_disk(planned: Plan) -> None:
    """Nothing, where what the run still has to write fits on the disk of its home.

    Checkpoints and models of a full-size recipe are counted where it is one of the tables, and data is not.

    Raises:
        ValueError: it does not; the message says how much is needed, for what, and what to do.
    """
    home = planned.home
    free = shutil.disk_usage(home if home.exists() else home.parent).free
    need = _least_need(planned)
    if free >= need.total + NEEDED_BYTES:
        return
    ways = ["free some"]
    if need.num_checkpoints and planned.where.kept_checkpoints > 1:
        ways.append("keep fewer (--where kept_checkpoints=1)")
    if need.num_checkpoints and not planned.recipe.adapters(planned.recipe.instruct):
        ways.append("train adapters (LoRA)")
    raise ValueError(
        f"{home} has {free / 1e9:.1f} GB of free disk space and a run needs {(need.total + NEEDED_BYTES) / 1e9:.1f} GB"
        f"{_reasons(need)}: {', '.join(ways)}, or set WEB2CODE_HOME to a larger disk"
    )


def _reasons(need: Need) -> str:
    if not need.models:
        return ""
    checkpoints = (
        f"{need.num_checkpoints} checkpoints of {need.stage} with {need.checkpoint / 1e9:.1f} GB each, the one that is "
        "being written included, and "
    )
    there = f", less {need.there / 1e9:.1f} GB that are there already" if need.there else ""
    return f" ({checkpoints if need.num_checkpoints else ''}{need.models / 1e9:.1f} GB of models{there})"


def _least_need(planned: Plan) -> Need:
    """What a run needs at most at once, when it goes on from what is there of it."""
    sizes = _sizes(planned)
    begun = [path.name for path in sorted(planned.home.glob("artifacts/prepared/*/"))] if sizes else []
    return min((_need(planned, sizes, prepared) for prepared in ("", *begun)), key=lambda need: need.total)


def _need(planned: Plan, sizes: list[Size], prepared: str) -> Need:
    """The same on a prepared artifact, or without any; stages that are finished write nothing any more."""
    artifacts = planned.home / "artifacts"
    models, there, needs = sizes[0].model if sizes else 0, 0, [Need(0)]
    if prepared:
        there = min(models, _bytes_in(artifacts / "prepared" / prepared / "base"))
    fingerprints = planned.stage_fingerprints(prepared) if prepared else [""] * len(sizes)
    for size, fingerprint in zip(sizes, fingerprints, strict=True):
        if fingerprint and (artifacts / "stage" / fingerprint / COMMITTED).exists():
            continue
        models += size.model
        own = 0
        if fingerprint:
            there += min(size.model, _bytes_in(artifacts / "stage" / fingerprint))
            own = _bytes_in(planned.home / "checkpoints" / fingerprint)
        most = size.num_checkpoints * size.checkpoint
        needs.append(Need(models, size.name, size.num_checkpoints, size.checkpoint, there + min(own, most)))
        if size is sizes[-1]:
            copies = 3 if planned.recipe.evaluation.engine == "vllm" else 1  # the registry's; two that vLLM reads
            needs.append(Need(models + copies * size.model, there=there))
    return max(needs, key=lambda need: need.total)


def _sizes(planned: Plan) -> list[Size]:
    """Of all stages; empty where they are small, or not known without reading a model that is not ours."""
    model = planned.recipe.model
    if isinstance(model, ModelConfig):
        return []
    from web2code.estimate.fit import can_be_estimated  # imports torch, which a small recipe does without here
    from web2code.estimate.pictures import page_of
    from web2code.estimate.plan import written_bytes

    page = page_of(planned.recipe)
    if not can_be_estimated(model, page):
        return []
    found = []
    for stage in planned.recipe.stages:
        written = written_bytes(model, stage, page)
        num = planned.where.kept_checkpoints + 1 + (stage.keep == "best")
        found.append(Size(stage.name, written.model, written.checkpoint, num))
    return found


def _bytes_in(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # a run that is going on removes what it no longer needs
                total += os.stat(os.path.join(root, name)).st_size
    return total

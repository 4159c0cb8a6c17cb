"""Make the base checkpoint and the arrays of a dataset: `python -m ray_jobs.prepare JOB.json`."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import ray

from ray_jobs.imports import loading, unused
from web2code.artifacts import publish, read_record
from web2code.config import ModelConfig, PreparedPart, PreparedRecord, PrepareJob, Shard, StageName
from web2code.data.pages import read_pages
from web2code.data.shards import load_record
from web2code.progress import report
from web2code.validation.quarantine import read_quarantined

if TYPE_CHECKING:
    from web2code.modelling.llava import Assembled
    from web2code.training.arrays import Arrays
    from web2code.training.prepare import Counts, Preparation


def main(job: PrepareJob) -> PreparedRecord:
    """Prepare the training split; a shard that is done is not done again. Returns the committed record.

    Raises:
        ValueError: the dataset lacks a part of the mixture, or a backbone cannot be had.
    """
    if done := read_record(job.output(), PreparedRecord):
        return done
    from web2code.modelling.base import save_checkpoint  # heavy, as the next two are
    from web2code.training.arrays import join_shards, load_arrays
    from web2code.training.base_model import BASE, layout_of, new_base, preparation_of, templates_of, warmed_up

    out, parts = Path(job.output()), parts_of(job)
    shards = shards_of(job, parts)
    out.mkdir(parents=True, exist_ok=True)
    excluded = read_quarantined(job.where.home, job.verdict) if job.verdict else set()
    scratch = isinstance(job.model, ModelConfig)
    rows = read_pages(job.where.data_dir, "train", images=False, excluded=excluded) if scratch else []
    base = new_base(job, rows)
    templates = templates_of(job, base)
    pending = start_shards(shards, out, preparation_of(job, parts, excluded, base, templates))
    losses = warmed_up(job, base, rows)
    save_checkpoint(out / BASE, base.model, base.processor or base.tokenizer, templates["instruct"])
    counts = finished(pending)
    join_shards(out, list(pending), layout_of(parts, base))
    record = record_of(job, load_arrays(out), counts, losses, base)
    publish(out, job.output(), record)
    return record


def parts_of(job: PrepareJob) -> tuple[PreparedPart, ...]:
    """What each of the job's stages is trained on."""
    return tuple(
        PreparedPart(stage=stage, **share.model_dump())
        for stage in stages_of(job)
        for share in getattr(job.mixture, stage)
    )


def stages_of(job: PrepareJob) -> list[StageName]:
    """The stages that are trained, in their order."""
    return [stage for stage in get_args(StageName) if stage in job.templates]


def shards_of(job: PrepareJob, parts: tuple[PreparedPart, ...]) -> list[Shard]:
    """The training shards of the mixture's parts. One that the dataset lacks is told, and only a stage needs any."""
    dataset = load_record(Path(job.where.data_dir))
    found = [shard for shard in dataset.shards if shard.split == "train"]
    there = {shard.part for shard in found}
    for stage in stages_of(job):
        wanted = {part.part for part in parts if part.stage == stage and part.weight > 0}
        missing = ", ".join(sorted(wanted - there))
        if not wanted & there:
            raise ValueError(
                f"{job.where.data_dir} has no training sample of {missing}, which stage {stage!r} of mixture "
                f"{job.mixture.name!r} asks for: build it with a source of that part, or name another mixture"
            )
        if missing:
            print(f"warning: stage {stage!r} goes without {missing}, of which the dataset has nothing", flush=True)
    return [shard for shard in found if shard.part in {part.part for part in parts}]


def start_shards(shards: list[Shard], out: Path, preparation: Preparation) -> dict[Path, ray.ObjectRef]:
    """Prepare all shards in parallel: the folder of each, with the counts that it will have."""
    from web2code.training.prepare import owners

    shared, own = [ray.put(preparation)], owners(preparation, shards)
    folders = [out / "shards" / f"{shard.part}-{shard.sha256[:16]}" for shard in shards]
    return {
        folder: prepare_one.remote(shared, shard, own[shard.path], folder)
        for folder, shard in zip(folders, shards, strict=True)
    }


@ray.remote(num_cpus=1)
def prepare_one(shared: list[ray.ObjectRef], shard: Shard, own: Collection[str], folder: Path) -> Counts:
    """Prepare a shard; what all have in `shared` is read after what it takes has been imported."""
    with loading(*unused()):
        from web2code.training.prepare import prepare_shard
    return prepare_shard(ray.get(shared[0]), shard, own, folder)


def finished(pending: dict[Path, ray.ObjectRef]) -> list[Counts]:
    """Wait for all shards."""
    waiting = list(pending.values())
    while waiting:
        done, waiting = ray.wait(waiting)
        ray.get(done)  # raises what a shard raised
        report("prepare", len(pending) - len(waiting), len(pending), "shards")
    return ray.get(list(pending.values()))


def record_of(
    job: PrepareJob, arrays: Arrays, counts: list[Counts], losses: list[float], base: Assembled
) -> PreparedRecord:
    """What was prepared."""
    numbers = np.bincount(arrays.parts, minlength=len(arrays.layout.parts)).tolist()
    return PreparedRecord(
        fingerprint=job.fingerprint(),
        dataset_version=job.dataset_version,
        num_parameters=sum(parameter.numel() for parameter in base.model.parameters()),
        vocab_size=len(base.tokenizer),
        num_samples={
            f"{part.stage}/{part.part}": number for part, number in zip(arrays.layout.parts, numbers, strict=True)
        },
        num_truncated=sum(count.num_truncated for count in counts),
        num_dropped=sum(count.num_dropped for count in counts),
        mean_tokens=float(arrays.lengths.mean()) if len(arrays.lengths) else 0.0,
        warmup_first_loss=losses[0] if losses else None,
        warmup_last_loss=losses[-1] if losses else None,
    )


if __name__ == "__main__":
    with loading(*unused()):
        import web2code.training.base_model  # noqa: F401
    ray.init(include_dashboard=False)
    main(PrepareJob.model_validate_json(Path(sys.argv[1]).read_text()))

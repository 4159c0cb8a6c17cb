"""Make the base checkpoint and the arrays of a dataset: `python -m ray_jobs.prepare JOB.json`."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, get_args

import numpy as np
import ray
import torch
from transformers import LlavaConfig, PreTrainedTokenizerFast

from web2code.artifacts import publish, read_record
from web2code.config import (
    ModelConfig,
    PreparedLayout,
    PreparedPart,
    PreparedRecord,
    PrepareJob,
    PretrainedModelConfig,
    Shard,
    StageName,
)
from web2code.data.pages import read_pages
from web2code.data.shards import load_record, read_manifest
from web2code.mixtures import capped
from web2code.modelling.base import build_model, save_checkpoint
from web2code.modelling.images import pixel_statistics
from web2code.modelling.llava import Assembled, assemble
from web2code.modelling.templates import TEMPLATES
from web2code.modelling.tokenizer import train_tokenizer
from web2code.progress import report
from web2code.training.arrays import Arrays, join_shards, load_arrays
from web2code.training.prepare import Counts, Preparation, owners, prepare_shard
from web2code.training.warm_up import tokenizer_texts, warm_up
from web2code.validation.quarantine import read_quarantined

Rows = list[dict[str, Any]]


def main(job: PrepareJob) -> PreparedRecord:
    """Prepare the training split; a shard that is done is not done again. Returns the committed record.

    Raises:
        ValueError: the dataset lacks a part of the mixture, or a backbone cannot be had.
    """
    if done := read_record(job.output(), PreparedRecord):
        return done
    out, parts = Path(job.output()), parts_of(job)
    shards = shards_of(job, parts)
    out.mkdir(parents=True, exist_ok=True)
    excluded = read_quarantined(job.where.home, job.verdict) if job.verdict else set()
    scratch = isinstance(job.model, ModelConfig)
    rows = read_pages(job.where.data_dir, "train", images=False, excluded=excluded) if scratch else []
    base = new_base(job, rows)
    pending = start_shards(shards, out, preparation_of(job, parts, excluded, base.tokenizer, base.model.config))
    losses = warmed_up(job, base, rows)
    save_checkpoint(out / "base", base.model, base.tokenizer, TEMPLATES[job.templates["instruct"]])
    counts = finished(pending)
    mean, std = pixel_statistics(base.model.config.vision_config)
    join_shards(out, list(pending), PreparedLayout(parts=parts, pixel_mean=mean, pixel_std=std))
    record = record_of(job, load_arrays(out), counts, losses, base)
    publish(out, job.output(), record)
    return record


def parts_of(job: PrepareJob) -> tuple[PreparedPart, ...]:
    """What each stage is trained on."""
    return tuple(
        PreparedPart(stage=stage, **share.model_dump())
        for stage in get_args(StageName)
        for share in getattr(job.mixture, stage)
    )


def shards_of(job: PrepareJob, parts: tuple[PreparedPart, ...]) -> list[Shard]:
    """The training shards of the mixture's parts. One that the dataset lacks is told, and only a stage needs any."""
    dataset = load_record(Path(job.where.data_dir))
    found = [shard for shard in dataset.shards if shard.split == "train"]
    there = {shard.part for shard in found}
    for stage in get_args(StageName):
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


def new_base(job: PrepareJob, rows: Rows) -> Assembled:
    """Published parts, joined; or a model of random weights, with a tokenizer trained on the pages' text."""
    if isinstance(job.model, PretrainedModelConfig):
        return assemble(job.model, torch.bfloat16, job.seed)
    template, language = TEMPLATES[job.templates["instruct"]], job.model.language
    tokenizer = train_tokenizer(
        tokenizer_texts(rows, template), language.vocab_size, language.max_length, template.control_tokens
    )
    return Assembled(build_model(job.model, tokenizer, job.seed), tokenizer)


def warmed_up(job: PrepareJob, base: Assembled, rows: Rows) -> list[float]:
    """Train a new language model on the pages' text; returns the losses."""
    if isinstance(job.model, PretrainedModelConfig):
        return []
    texts = [text for row in rows for text in (row["html"], row["caption"])]
    steps = job.model.warmup_steps
    return warm_up(
        base.model, base.tokenizer, texts, steps, job.seed,
        lambda step, loss: report("warm up", step, steps, f"loss {loss:.3f}"),
    )  # fmt: skip


def preparation_of(
    job: PrepareJob,
    parts: tuple[PreparedPart, ...],
    excluded: Collection[str],
    tokenizer: PreTrainedTokenizerFast,
    config: LlavaConfig,
) -> Preparation:
    """How this job's samples become arrays."""
    folder = Path(job.where.data_dir)
    caps = {number: part for number, part in enumerate(parts) if part.cap is not None}
    kept = {}
    if caps:
        table = read_manifest(folder, ["id", "part", "split"])
        for number, part in caps.items():
            of_part = (np.asarray(table["part"]) == part.part) & (np.asarray(table["split"]) == "train")
            kept[number] = capped(table.filter(of_part)["id"].to_pylist(), part.cap or 0, job.seed)
    return Preparation(
        folder=folder,
        tokenizer=tokenizer,
        templates={stage: TEMPLATES[name] for stage, name in job.templates.items()},
        parts=parts,
        kept=kept,
        excluded=excluded,
        image_tokens=config.image_seq_length,
        max_length=job.model.max_length,
        picture_size=config.vision_config.image_size,
        pixel_mean=pixel_statistics(config.vision_config)[0],
        picture_format="raw" if isinstance(job.model, ModelConfig) else "jpeg",
    )


def start_shards(shards: list[Shard], out: Path, preparation: Preparation) -> dict[Path, ray.ObjectRef]:
    """Prepare all shards in parallel: the folder of each, with the counts that it will have."""
    prepare, shared, own = ray.remote(num_cpus=1)(prepare_shard), ray.put(preparation), owners(preparation, shards)
    folders = [out / "shards" / f"{shard.part}-{shard.sha256[:16]}" for shard in shards]
    return {
        folder: prepare.remote(shared, shard, own[shard.path], folder)
        for folder, shard in zip(folders, shards, strict=True)
    }


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
    ray.init()
    main(PrepareJob.model_validate_json(Path(sys.argv[1]).read_text()))

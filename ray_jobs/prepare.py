"""Make the base checkpoint and the arrays of a dataset: `python -m ray_jobs.prepare JOB.json`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import ray
import torch
from transformers import LlavaConfig

from web2code.artifacts import publish, read_record
from web2code.config import (
    ImageTextConfig,
    ModelConfig,
    PreparedLayout,
    PreparedPart,
    PreparedRecord,
    PrepareJob,
    PretrainedModelConfig,
    Shard,
    StageName,
    StageTemplate,
)
from web2code.data.pages import read_pages
from web2code.data.shards import load_record, read_manifest
from web2code.mixtures import capped
from web2code.modelling.base import build_model, save_checkpoint
from web2code.modelling.image_text import load_image_text
from web2code.modelling.images import pixel_statistics
from web2code.modelling.llava import Assembled, assemble, language_template
from web2code.modelling.templates import TEMPLATES, Template
from web2code.modelling.tokenizer import train_tokenizer
from web2code.progress import report
from web2code.training.arrays import Arrays, join_shards, load_arrays
from web2code.training.prepare import Counts, Preparation, SquarePictures, owners, prepare_shard
from web2code.training.trainable import set_trainable
from web2code.training.warm_up import tokenizer_texts, warm_up
from web2code.validation.quarantine import read_quarantined

Rows = list[dict[str, Any]]
# The folder of the base checkpoint.
BASE = "base"


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


def new_base(job: PrepareJob, rows: Rows) -> Assembled:
    """A published model, or published parts, joined; or one made from scratch, its tokenizer of the pages' text."""
    if isinstance(job.model, ImageTextConfig):
        model, processor = load_image_text(job.model, torch.bfloat16)
        set_trainable(model, ())  # a model whose modules are not known is refused before anything is prepared
        return Assembled(model, processor.tokenizer, processor)
    if isinstance(job.model, PretrainedModelConfig):
        return assemble(job.model, torch.bfloat16, job.seed)
    template, language = template_named(job.templates["instruct"]), job.model.language
    tokenizer = train_tokenizer(
        tokenizer_texts(rows, template), language.vocab_size, language.max_length, template.control_tokens
    )
    return Assembled(build_model(job.model, tokenizer, job.seed), tokenizer)


def template_named(name: StageTemplate) -> Template:
    """One of our templates."""
    assert name != "own", "a recipe's validation sees to it"
    return TEMPLATES[name]


def templates_of(job: PrepareJob, base: Assembled) -> dict[str, Template]:
    """The template of each stage; ValueError where the model has none of its own that can be followed."""
    named: Callable[[StageTemplate], Template] = base.processor.template if base.processor else template_named
    if isinstance(job.model, PretrainedModelConfig):
        named = partial(language_template, job.model.language_model, base.tokenizer)
    return {stage: named(name) for stage, name in job.templates.items()}


def warmed_up(job: PrepareJob, base: Assembled, rows: Rows) -> list[float]:
    """Train a new language model on the pages' text; returns the losses."""
    if not isinstance(job.model, ModelConfig):
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
    base: Assembled,
    templates: dict[str, Template],
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
        tokenizer=base.tokenizer,
        templates=templates,
        parts=parts,
        kept=kept,
        excluded=excluded,
        max_length=job.model.max_length,
        pictures=base.processor or square_pictures(base.model.config, isinstance(job.model, ModelConfig)),
    )


def square_pictures(config: LlavaConfig, exact: bool) -> SquarePictures:
    """The pictures of a LLaVA model, kept to the last bit or as JPEG."""
    return SquarePictures(
        num_tokens=config.image_seq_length,
        size=config.vision_config.image_size,
        mean=pixel_statistics(config.vision_config)[0],
        form="raw" if exact else "jpeg",
    )


def layout_of(parts: tuple[PreparedPart, ...], base: Assembled) -> PreparedLayout:
    """How pictures become a model's input: by its processor, or by LLaVA's normalisation."""
    if base.processor:
        return PreparedLayout(parts=parts, processor=BASE)
    mean, std = pixel_statistics(base.model.config.vision_config)
    return PreparedLayout(parts=parts, pixel_mean=mean, pixel_std=std)


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

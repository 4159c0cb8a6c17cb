"""The model that training begins with, and how a dataset's samples become its input."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlavaConfig

from web2code.config import (
    ImageTextConfig,
    ModelConfig,
    PreparedLayout,
    PreparedPart,
    PrepareJob,
    PretrainedModelConfig,
    StageTemplate,
)
from web2code.data.shards import read_manifest
from web2code.mixtures import capped
from web2code.modelling.base import build_model
from web2code.modelling.image_text import load_image_text
from web2code.modelling.images import pixel_statistics
from web2code.modelling.llava import Assembled, assemble, language_template
from web2code.modelling.templates import TEMPLATES, Template
from web2code.modelling.tokenizer import train_tokenizer
from web2code.progress import report
from web2code.training.prepare import Preparation, SquarePictures
from web2code.training.trainable import set_trainable
from web2code.training.warm_up import tokenizer_texts, warm_up

Rows = list[dict[str, Any]]
# The folder of the base checkpoint.
BASE = "base"


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
        base.model, base.tokenizer, texts, steps, job.seed, job.model.precision,
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

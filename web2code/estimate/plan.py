"""A recipe on a cluster: what each stage needs, whether it fits, and what would where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, takewhile
from math import ceil

import torch
from pydantic import Field, computed_field
from transformers import PreTrainedConfig, PreTrainedModel

from web2code.config import (
    Config,
    ImageTextConfig,
    LoraConfig,
    ModelConfig,
    Module,
    PartShare,
    PretrainedModelConfig,
    Recipe,
    StageConfig,
)
from web2code.estimate.devices import Cluster, Gpu, require_precision
from web2code.estimate.layout import SHORTEST_TEXT, assumed_layout
from web2code.estimate.memory import (
    MOMENT_BYTES,
    WEIGHT_BYTES,
    Memory,
    Parameters,
    Setup,
    count_parameters,
    mask_bytes,
    setup_of,
    stage_memory,
)
from web2code.estimate.pictures import Page, is_known, page_of
from web2code.estimate.tracing import count_flops, stage_model, trace_loss, trace_memory
from web2code.estimate.workload import Workload, stage_workload
from web2code.mixtures import resolve_mixture
from web2code.modelling.attention import VARLEN
from web2code.modelling.image_text import model_config
from web2code.modelling.image_text_packs import PACKED
from web2code.modelling.language_models import require_trainable
from web2code.modelling.llava import llava_config

GIB = 2**30
# Assumed: the CUDA context and NCCL's buffers, and the share of memory that the allocator can fill.
CONTEXT_GIB = 1.0
FILLED = 0.95
# Assumed: what LLaVA-1.5's published hours amount to, 26 to 36 % (docs/estimates.md).
MFU = 0.3
# Assumed: no more without padding, the most that was published of text without padding on one H100 (NeMo AutoModel's
# performance summary: adapters on Qwen2.5-7B, 42.8 %).
MOST_MFU = 0.43
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
MOST_DEVICES = 64

NO_PAGE = Page()

FullSize = PretrainedModelConfig | ImageTextConfig


class Alternative(Config):
    """A change of the setup, with the largest micro batch or pack with which it fits."""

    change: str
    setup: Setup
    memory: Memory


class StagePlan(Config):
    """One stage on a cluster."""

    name: str
    parameters: Parameters
    setup: Setup
    accumulation: float = Field(
        description="forward and backward passes in a step; where samples are packed, on average"
    )
    workload: Workload
    memory: Memory
    fits: bool
    padding_share: float = Field(description="of what is computed, with samples of assumed lengths")
    padding_of_rows: float = Field(description="the same where samples are not packed")
    alternatives: tuple[Alternative, ...] = Field((), description="where it does not fit, what does")
    flops: int = Field(description="of all samples, forward and backward, nothing computed twice")
    hours: float
    hours_of_rows: float = Field(description="the same where samples are not packed")
    hours_of_packs: float = Field(description="and where they are")
    cost: float = Field(description="US dollars")
    model_bytes: int = Field(description="of what is kept: the model in training precision, and adapters beside it")
    checkpoint_bytes: int = Field(description="of what a stage needs to go on: trained weights and optimizer")


class RecipePlan(Config):
    """A recipe on a cluster, and the assumptions that hours and fit rest on."""

    recipe: str
    cluster: Cluster
    mfu: float = Field(description="share of the peak with padded rows")
    most_mfu: float = Field(MOST_MFU, description="the most without padding, where `mfu` is not more")
    context_gib: float = CONTEXT_GIB
    filled: float = FILLED
    image_tokens: int = Field(description="positions that a picture takes")
    packs: bool = Field(description="whether samples of such a model can be packed")
    stages: tuple[StagePlan, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def hours(self) -> float:
        """All stages."""
        return sum(stage.hours for stage in self.stages)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def cost(self) -> float:
        """All stages, in US dollars."""
        return sum(stage.cost for stage in self.stages)


def plan_recipe(recipe: Recipe, cluster: Cluster, mfu: float = MFU) -> RecipePlan:
    """The stages of a full-size recipe; `mfu` is the share of the GPUs' peak that training gets.

    Raises:
        ValueError: a recipe from scratch, or one whose parts or batches do not fit each other, that trains a tower of
            which it is not known what it is given, or in a precision that the GPUs lack; or as `require_trainable`.
    """
    if isinstance(recipe.model, ModelConfig):
        raise ValueError(f"recipe {recipe.name!r} is made from scratch and trains on any machine: plan a full-size one")
    if not 0 < mfu <= 1:
        raise ValueError(f"mfu {mfu:g}: it is a share of the peak, above 0 and at most 1")
    require_trainable(recipe)
    mixture, page = resolve_mixture(recipe.mixture), page_of(recipe)
    # Of a model that is published whole, what the recipe says of a page.
    config = architecture(recipe.model, page)
    image_tokens = config.image_seq_length
    if isinstance(recipe.model, ImageTextConfig) and "vision_tower" in recipe.instruct.trainable:
        _require_known(recipe.model, recipe.name)
    return RecipePlan(
        recipe=recipe.name,
        cluster=cluster,
        mfu=mfu,
        image_tokens=image_tokens,
        packs=isinstance(recipe.model, PretrainedModelConfig) or VARLEN in PACKED.get(config.model_type, ()),
        stages=tuple(
            plan_stage(recipe.model, stage, getattr(mixture, stage.name), cluster, mfu, page) for stage in recipe.stages
        ),
    )


def _require_known(model: ImageTextConfig, recipe: str) -> None:
    if not is_known(architecture(model, NO_PAGE)):
        raise ValueError(
            f"instruct.trainable: it is not known what {model.name} is given of a picture, and so not what training "
            f"its vision tower takes: plan {recipe!r} without vision_tower"
        )


def architecture(model: FullSize, page: Page) -> PreTrainedConfig:
    """A model's configuration; of one that is published whole, with the page that its pictures are taken to be."""
    if isinstance(model, PretrainedModelConfig):
        return llava_config(model)
    config = model_config(model)
    config.image_seq_length, config.page = page.image_tokens, page
    return config


def plan_stage(
    model: FullSize,
    stage: StageConfig,
    parts: tuple[PartShare, ...],
    cluster: Cluster,
    mfu: float,
    page: Page = NO_PAGE,
) -> StagePlan:
    """One stage as its recipe has it, with alternatives where a GPU does not hold it.

    `mfu` is what is reached with padded rows; without padding it is more, as `packed_mfu` says.
    """
    require_precision(stage, cluster.device.name, cluster.device.capability)
    image_tokens = architecture(model, page).image_seq_length
    workload = stage_workload(stage, parts, image_tokens, model.max_length)
    setup = setup_of(stage, cluster.num_devices, model.lora)
    parameters = _count(_stage_model(model, stage.trainable, setup.lora, setup.precision, page))
    memory = setup_memory(model, stage.trainable, workload.longest, setup, page)
    fits = fits_in(memory, cluster.device)
    flops = sample_flops(model, stage.trainable, setup.lora, workload.mean_length, page) * workload.samples
    layout, rows = (
        assumed_layout(each, parts, image_tokens, workload.longest, cluster.num_devices)
        for each in (stage, stage.model_copy(update={"pack_tokens": 0}))
    )
    hours_at_peak = flops / (cluster.num_devices * cluster.device.teraflops * 1e12) / 3600
    hours_of_rows, hours_of_packs = hours_at_peak / mfu, hours_at_peak / packed_mfu(mfu, rows.padding_share)
    hours = hours_of_packs if stage.pack_tokens else hours_of_rows
    written = written_bytes(model, stage, page)
    return StagePlan(
        name=stage.name,
        parameters=parameters,
        setup=setup,
        accumulation=layout.micro_steps,
        workload=workload,
        memory=memory,
        fits=fits,
        padding_share=layout.padding_share,
        padding_of_rows=rows.padding_share,
        alternatives=()
        if fits
        else tuple(find_alternatives(model, stage, workload.longest, cluster.device, setup, page)),
        flops=flops,
        hours=hours,
        hours_of_rows=hours_of_rows,
        hours_of_packs=hours_of_packs,
        cost=hours * cluster.num_devices * cluster.device.price,
        model_bytes=written.model,
        checkpoint_bytes=written.checkpoint,
    )


def packed_mfu(mfu: float, padding_of_rows: float) -> float:
    """The share of the peak without padding, where with padded rows it is `mfu`; no more than was published."""
    return min(mfu / (1 - padding_of_rows), max(mfu, MOST_MFU))


@dataclass(frozen=True)
class Written:
    """Bytes that a stage writes: one checkpoint, and what is kept of it."""

    checkpoint: int
    model: int


def written_bytes(model: FullSize, stage: StageConfig, page: Page = NO_PAGE) -> Written:
    """What a stage writes, from counts alone; a model that was built for an estimate is not built again."""
    lora = model.lora if "language_model" in stage.trainable else None
    parameters = _count(_stage_model(model, stage.trainable, lora, stage.precision, page))
    width = WEIGHT_BYTES[stage.precision]
    return Written(
        checkpoint=(width + MOMENT_BYTES + 4) * parameters.trained,
        model=width * parameters.total + (4 * parameters.trained if lora else 0),
    )


def setup_memory(
    model: FullSize, trainable: tuple[Module, ...], length: int, setup: Setup, page: Page = NO_PAGE
) -> Memory:
    """Memory of one device in a stage whose longest sample has `length` tokens.

    A pack takes as much as rows of as many tokens: most where all are of the longest samples, which learn the most, or
    of the shortest, which show the most pictures.
    """
    built = _stage_model(model, trainable, setup.lora, setup.precision, page)
    config = architecture(model, page)
    mask = mask_bytes(setup, config.get_text_config().num_hidden_layers)

    def memory_of(tokens: int, num_samples: float) -> Memory:
        traced = _activations(built, tokens, setup.checkpointing)
        loss = _loss(built, ceil(num_samples * (tokens - config.image_seq_length)))
        traced = replace(traced, fixed=traced.fixed + mask, loss=loss + mask)
        return stage_memory(_count(built), traced, setup, num_samples)

    if not setup.pack_tokens:
        return memory_of(length, setup.micro_batch)
    extremes = (length, min(length, config.image_seq_length + SHORTEST_TEXT))
    return max((memory_of(tokens, setup.pack_tokens / tokens) for tokens in extremes), key=lambda each: each.total)


@cache
def sample_flops(
    model: FullSize, trainable: tuple[Module, ...], lora: LoraConfig | None, length: int, page: Page = NO_PAGE
) -> int:
    """Operations of one sample of `length` tokens, forward and backward."""
    return count_flops(_stage_model(model, trainable, lora, "bf16", page), length)


def fits_in(memory: Memory, gpu: Gpu) -> bool:
    """Whether a GPU holds it, the CUDA context included."""
    return memory.total / GIB + CONTEXT_GIB <= FILLED * gpu.memory


def find_alternatives(
    model: FullSize, stage: StageConfig, longest: int, gpu: Gpu, setup: Setup, page: Page = NO_PAGE
) -> Iterator[Alternative]:
    """Changes after which the stage fits, tried one by one, each with its largest micro batch or pack."""
    for change, changed in chain(_smaller(stage, setup), _lighter(stage, setup)):
        if found := _fitting(model, stage, longest, gpu, change, changed, page):
            yield found
    for change, changed in _spread(stage, setup):
        if found := _fitting(model, stage, longest, gpu, change, changed, page):
            yield found
            return


def _fitting(
    model: FullSize,
    stage: StageConfig,
    longest: int,
    gpu: Gpu,
    change: str,
    setup: Setup,
    page: Page,
) -> Alternative | None:
    """The setup with the largest micro batch or pack with which it fits, if any."""
    for tried in _sizes(stage, setup, longest):
        memory = setup_memory(model, stage.trainable, longest, tried, page)
        if fits_in(memory, gpu):
            return Alternative(change=change, setup=tried, memory=memory)
    return None


def _sizes(stage: StageConfig, setup: Setup, longest: int) -> Iterator[Setup]:
    """The setup with smaller and smaller micro batches that divide the batch, or packs that hold any sample."""
    if setup.pack_tokens:
        halved = (setup.pack_tokens >> times for times in range(setup.pack_tokens.bit_length()))
        sizes = dict.fromkeys([*takewhile(lambda size: size > longest, halved), longest])
        yield from (setup.model_copy(update={"pack_tokens": size}) for size in sizes)
        return
    per_device = stage.global_batch // setup.num_devices
    for micro_batch in range(min(setup.micro_batch, per_device), 0, -1):
        if per_device % micro_batch == 0:
            yield setup.model_copy(update={"micro_batch": micro_batch})


def _smaller(stage: StageConfig, setup: Setup) -> Iterator[tuple[str, Setup]]:
    """What keeps the result as it is."""
    yield f"a smaller {stage.name}.{'pack_tokens' if setup.pack_tokens else 'micro_batch'}", setup
    if not setup.checkpointing:
        yield f"{stage.name}.gradient_checkpointing=true", setup.model_copy(update={"checkpointing": True})
    zero3 = setup.model_copy(update={"zero_stage": 3})
    if setup.zero_stage < 3:
        yield f"{stage.name}.zero_stage=3", zero3
    if "language_model" in stage.trainable:
        yield f"{stage.name}.zero_stage=3 and {stage.name}.offload=true", zero3.model_copy(update={"offload": True})


def _lighter(stage: StageConfig, setup: Setup) -> Iterator[tuple[str, Setup]]:
    """What trains fewer parameters."""
    if "language_model" in stage.trainable:
        if not setup.lora:
            yield "adapters (LoRA)", setup.model_copy(update={"lora": LoraConfig()})
        lora = setup.lora or LoraConfig()
        if not lora.four_bit:
            # Quantised weights cannot be split.
            quantised = {"lora": lora.model_copy(update={"four_bit": True}), "zero_stage": min(setup.zero_stage, 2)}
            yield "adapters in four bits (QLoRA)", setup.model_copy(update=quantised)


def _spread(stage: StageConfig, setup: Setup) -> Iterator[tuple[str, Setup]]:
    """Twice the GPUs, and again, as long as the global batch can be split."""
    devices = 2 * setup.num_devices
    while devices <= MOST_DEVICES and stage.global_batch % devices == 0:
        yield f"{devices} GPUs", setup.model_copy(update={"num_devices": devices})
        devices *= 2


def _stage_model(
    model: FullSize, trainable: tuple[Module, ...], lora: LoraConfig | None, precision: str, page: Page
) -> PreTrainedModel:
    # Beside adapters weights in four bits change nothing here: what is traced need not be traced again.
    whole = lora and lora.model_copy(update={"four_bit": False})
    return _built(model, trainable, whole, precision, page)


@cache
def _built(
    model: FullSize, trainable: tuple[Module, ...], lora: LoraConfig | None, precision: str, page: Page
) -> PreTrainedModel:
    return stage_model(architecture(model, page), trainable, lora, DTYPES[precision])


# By model, since each is built once.
_count = cache(count_parameters)
_activations = cache(trace_memory)
_loss = cache(trace_loss)

"""A recipe on a cluster: what each stage needs, whether it fits, and what would where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import chain

import torch
from pydantic import Field, computed_field
from transformers import PreTrainedConfig

from web2code.config import (
    Config,
    ImageTextConfig,
    LoraConfig,
    ModelConfig,
    Module,
    PretrainedModelConfig,
    Recipe,
    StageConfig,
)
from web2code.estimate.devices import Cluster
from web2code.estimate.memory import (
    WEIGHT_BYTES,
    Memory,
    Parameters,
    Setup,
    count_parameters,
    setup_of,
    stage_memory,
)
from web2code.estimate.pictures import Page, is_known
from web2code.estimate.tracing import Activations, count_flops, stage_model, trace_memory
from web2code.estimate.workload import Workload, stage_workload
from web2code.mixtures import resolve_mixture
from web2code.modelling.image_text import model_config
from web2code.modelling.llava import llava_config

GIB = 2**30
# Assumed: the CUDA context and NCCL's buffers, and the share of memory that the allocator can fill.
CONTEXT_GIB = 1.0
FILLED = 0.95
# Assumed: what LLaVA-1.5's published hours amount to, 26 to 36 % (docs/estimates.md).
MFU = 0.3
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
MOST_DEVICES = 64

NO_PAGE = Page()

FullSize = PretrainedModelConfig | ImageTextConfig


class Alternative(Config):
    """A change of the setup, with the largest micro batch with which it fits."""

    change: str
    setup: Setup
    memory: Memory


class StagePlan(Config):
    """One stage on a cluster."""

    name: str
    parameters: Parameters
    setup: Setup
    accumulation: int
    workload: Workload
    memory: Memory
    fits: bool
    alternatives: tuple[Alternative, ...] = Field((), description="where it does not fit, what does")
    flops: int = Field(description="of all samples, forward and backward, nothing computed twice")
    hours: float
    cost: float = Field(description="US dollars")
    model_bytes: int = Field(description="of what is kept: the model in training precision, and adapters beside it")
    checkpoint_bytes: int = Field(description="of what a stage needs to go on: trained weights and optimizer")


class RecipePlan(Config):
    """A recipe on a cluster, and the assumptions that hours and fit rest on."""

    recipe: str
    cluster: Cluster
    mfu: float
    context_gib: float = CONTEXT_GIB
    filled: float = FILLED
    image_tokens: int = Field(description="positions that a picture takes")
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
        ValueError: a recipe from scratch, or one whose parts or batches do not fit each other, or that trains a tower
            of which it is not known what it is given.
    """
    if isinstance(recipe.model, ModelConfig):
        raise ValueError(f"recipe {recipe.name!r} is made from scratch and trains on any machine: plan a full-size one")
    if not 0 < mfu <= 1:
        raise ValueError(f"mfu {mfu:g}: it is a share of the peak, above 0 and at most 1")
    mixture, viewport = resolve_mixture(recipe.mixture), recipe.pages.viewport
    page = Page(image_tokens=recipe.validation.image_tokens, height=viewport.height, width=viewport.width)
    # Of a model that is published whole, what the recipe says of a page.
    image_tokens = architecture(recipe.model, page).image_seq_length
    if isinstance(recipe.model, ImageTextConfig) and "vision_tower" in recipe.instruct.trainable:
        _require_known(recipe.model, recipe.name)
    return RecipePlan(
        recipe=recipe.name,
        cluster=cluster,
        mfu=mfu,
        image_tokens=image_tokens,
        stages=tuple(
            plan_stage(
                recipe.model,
                stage,
                stage_workload(stage, getattr(mixture, stage.name), image_tokens, recipe.model.max_length),
                cluster,
                mfu,
                page,
            )
            for stage in recipe.stages
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
    model: FullSize, stage: StageConfig, workload: Workload, cluster: Cluster, mfu: float, page: Page = NO_PAGE
) -> StagePlan:
    """One stage as its recipe has it, with alternatives where a GPU does not hold it."""
    setup = setup_of(stage, cluster.num_devices, model.lora)
    parameters = _parameters(model, stage.trainable, setup.lora)
    memory = setup_memory(model, stage.trainable, workload.longest, setup, page)
    fits = fits_in(memory, cluster)
    flops = sample_flops(model, stage.trainable, setup.lora, workload.mean_length, page) * workload.samples
    hours = flops / (cluster.num_devices * cluster.device.teraflops * 1e12 * mfu) / 3600
    width = WEIGHT_BYTES[setup.precision]
    return StagePlan(
        name=stage.name,
        parameters=parameters,
        setup=setup,
        accumulation=stage.global_batch // (setup.micro_batch * cluster.num_devices),
        workload=workload,
        memory=memory,
        fits=fits,
        alternatives=() if fits else tuple(find_alternatives(model, stage, workload, cluster, setup, page)),
        flops=flops,
        hours=hours,
        cost=hours * cluster.num_devices * cluster.device.price,
        model_bytes=width * parameters.total + (4 * parameters.trained if setup.lora else 0),
        checkpoint_bytes=(width + 12) * parameters.trained,
    )


def setup_memory(
    model: FullSize, trainable: tuple[Module, ...], length: int, setup: Setup, page: Page = NO_PAGE
) -> Memory:
    """Memory of one device in a stage whose longest sample has `length` tokens."""
    parameters = _parameters(model, trainable, setup.lora)
    # Quantised weights change nothing here: what is traced need not be traced again.
    lora = setup.lora and setup.lora.model_copy(update={"four_bit": False})
    activations = _activations(model, trainable, lora, setup.precision, length, setup.checkpointing, page)
    return stage_memory(parameters, activations, setup)


@cache
def sample_flops(
    model: FullSize, trainable: tuple[Module, ...], lora: LoraConfig | None, length: int, page: Page = NO_PAGE
) -> int:
    """Operations of one sample of `length` tokens, forward and backward."""
    return count_flops(stage_model(architecture(model, page), trainable, lora, torch.bfloat16), length)


def fits_in(memory: Memory, cluster: Cluster) -> bool:
    """Whether a GPU of the cluster holds it, the CUDA context included."""
    return memory.total / GIB + CONTEXT_GIB <= FILLED * cluster.device.memory


def find_alternatives(
    model: FullSize, stage: StageConfig, workload: Workload, cluster: Cluster, setup: Setup, page: Page = NO_PAGE
) -> Iterator[Alternative]:
    """Changes after which the stage fits, tried one by one, each with its largest micro batch."""
    for change, changed in chain(_smaller(stage, setup), _lighter(stage, setup)):
        if found := _fitting(model, stage, workload, cluster, change, changed, page):
            yield found
    for change, changed in _spread(stage, setup):
        if found := _fitting(model, stage, workload, cluster, change, changed, page):
            yield found
            return


def _fitting(
    model: FullSize,
    stage: StageConfig,
    workload: Workload,
    cluster: Cluster,
    change: str,
    setup: Setup,
    page: Page,
) -> Alternative | None:
    """The setup with the largest micro batch with which it fits, if any."""
    per_device = stage.global_batch // setup.num_devices
    for micro_batch in range(min(setup.micro_batch, per_device), 0, -1):
        if per_device % micro_batch == 0:
            tried = setup.model_copy(update={"micro_batch": micro_batch})
            memory = setup_memory(model, stage.trainable, workload.longest, tried, page)
            if fits_in(memory, cluster):
                return Alternative(change=change, setup=tried, memory=memory)
    return None


def _smaller(stage: StageConfig, setup: Setup) -> Iterator[tuple[str, Setup]]:
    """What keeps the result as it is."""
    yield f"a smaller {stage.name}.micro_batch", setup
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


@cache
def _parameters(model: FullSize, trainable: tuple[Module, ...], lora: LoraConfig | None) -> Parameters:
    return count_parameters(stage_model(architecture(model, NO_PAGE), trainable, lora, torch.bfloat16))


@cache
def _activations(
    model: FullSize,
    trainable: tuple[Module, ...],
    lora: LoraConfig | None,
    precision: str,
    length: int,
    checkpointing: bool,
    page: Page,
) -> Activations:
    built = stage_model(architecture(model, page), trainable, lora, DTYPES[precision])
    return trace_memory(built, length, checkpointing)

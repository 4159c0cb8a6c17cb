"""Memory of one device in a stage of training under DeepSpeed, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from pydantic import Field, computed_field
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from web2code.config import Config, LoraConfig, Module, StageConfig
from web2code.estimate.tracing import Activations
from web2code.modelling.adapters import ADAPTER
from web2code.modelling.attention import VARLEN
from web2code.training.deepspeed_config import PERSISTENT_NUMBERS, accumulation_steps
from web2code.training.trainable import MODULES, module_of

WEIGHT_BYTES = {"bf16": 2, "fp32": 4}
# NF4 with double quantisation (arXiv 2305.14314, section 3): half a byte, 8 bits for 64 weights, 32 for 256 of these.
FOUR_BIT_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
# Adam's two, in float32.
MOMENT_BYTES = 4 + 4
# DeepSpeed's defaults: numbers in a bucket of gradients; under ZeRO-3, gathered weights, and what a step does at once.
BUCKET_NUMBERS = 500_000_000
GATHERED_NUMBERS = 1_000_000_000
SUB_GROUP_NUMBERS = 1_000_000_000


class Setup(Config):
    """What decides how much of a stage a device holds."""

    num_devices: int = Field(ge=1)
    micro_batch: int = Field(ge=1, description="rows, where samples are not packed")
    pack_tokens: int = Field(0, ge=0, description="tokens of the row that samples are packed into")
    attention: str = Field(VARLEN, description="any other masks the square of a pack")
    zero_stage: int = Field(ge=0, le=3)
    precision: str
    checkpointing: bool
    offload: bool = Field(False, description="optimizer and gradients in the machines' own memory")
    lora: LoraConfig | None = None


class Count(Config):
    """Numbers of parameters."""

    total: int = 0
    trained: int = 0


class Parameters(Config):
    """The parameters of a stage's model."""

    by_module: Mapping[Module, Count]
    quantisable: int = Field(description="in linear layers of the language model")
    small: int = Field(description="in tensors that ZeRO-3 leaves whole")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> int:
        """All of them."""
        return sum(count.total for count in self.by_module.values())

    @computed_field  # type: ignore[prop-decorator]
    @property
    def trained(self) -> int:
        """Those that get a gradient."""
        return sum(count.trained for count in self.by_module.values())


class Memory(Config):
    """Bytes on one device. `buffers` are DeepSpeed's; what a step needs is needed when activations are gone."""

    weights: int
    gradients: int
    optimizer: int
    activations: int = Field(description="kept for the backward pass")
    transient: int = Field(description="on top of that at the peak: of the loss, or a layer's own tensors")
    buffers: int
    step: int
    host: int = Field(description="in the machine's memory, for this device")

    @property
    def states(self) -> int:
        """What is there all the time."""
        return self.weights + self.gradients + self.optimizer

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> int:
        """At the peak, without the CUDA context."""
        return self.states + max(self.activations + self.transient + self.buffers, self.step)


def setup_of(stage: StageConfig, num_devices: int, lora: LoraConfig | None) -> Setup:
    """A stage as its recipe has it, on so many devices; adapters only where it trains the language model.

    Raises:
        ValueError: the global batch does not split evenly.
    """
    return Setup(
        num_devices=num_devices,
        micro_batch=accumulation_steps(stage, num_devices)[0],
        pack_tokens=stage.pack_tokens,
        attention=stage.attention,
        zero_stage=stage.zero_stage,
        precision=stage.precision,
        checkpointing=stage.gradient_checkpointing,
        offload=stage.offload,
        lora=lora if "language_model" in stage.trainable else None,
    )


def mask_bytes(setup: Setup, num_layers: int) -> int:
    """What keeps a pack's samples apart: with `varlen` nothing, else a mask, and for each layer one more of numbers."""
    if not setup.pack_tokens or setup.attention == VARLEN:
        return 0
    kept = 1 if setup.checkpointing else num_layers
    return setup.pack_tokens**2 * (1 + WEIGHT_BYTES[setup.precision] * kept)


def count_parameters(model: PreTrainedModel) -> Parameters:
    """Exact counts; tied weights once."""
    counts = {module: [0, 0] for module in MODULES}
    small = 0
    for name, parameter in model.named_parameters():
        number = parameter.numel()
        counts[module_of(name)][0] += number
        counts[module_of(name)][1] += number * parameter.requires_grad
        small += number * (number <= PERSISTENT_NUMBERS)
    linear = [
        module.weight.numel()
        for name, module in model.get_decoder().named_modules()
        if isinstance(module, nn.Linear | Conv1D) and ADAPTER not in name
    ]
    return Parameters(
        by_module={name: Count(total=total, trained=trained) for name, (total, trained) in counts.items() if total},
        quantisable=sum(linear),
        small=small,
    )


def stage_memory(
    parameters: Parameters, activations: Activations, setup: Setup, num_samples: float | None = None
) -> Memory:
    """Memory of one device, with `activations` traced in the setup's precision.

    It holds so many of the traced samples at once, its micro batch where nothing is said. States are as in ZeRO (arXiv
    1910.02054, section 5), and as DeepSpeed 0.19 holds them with torch's AdamW: its own weights in float32, too, unless
    training is in float32 without ZeRO.
    """
    held_samples = setup.micro_batch if num_samples is None else num_samples
    width, stage, devices = WEIGHT_BYTES[setup.precision], setup.zero_stage, setup.num_devices
    quantised = parameters.quantisable if setup.lora and setup.lora.four_bit else 0
    whole, trained = parameters.total - quantised, parameters.trained
    held = trained / devices if stage else trained
    own_weights = 4 if stage or setup.precision == "bf16" else 0
    optimizer = (MOMENT_BYTES + own_weights) * held
    # The gradient in float32 where it is not, and a temporary of Adam's.
    step = (4 + own_weights) * (min(SUB_GROUP_NUMBERS, held) if stage == 3 else held)
    gradients = width * (trained / devices if stage >= 2 else trained)
    # ZeRO-1 and 2 fill one while the other is exchanged.
    buckets = BUCKET_NUMBERS * (2 if stage in (1, 2) else 1) if stage or devices > 1 else 0
    gathered = min(GATHERED_NUMBERS, whole) if stage == 3 else 0
    host = 0.0
    if setup.offload:
        host = optimizer + 4 * held
        optimizer = step = gradients = 0.0
    return Memory(
        weights=ceil(
            width * (whole / devices + parameters.small if stage == 3 else whole) + FOUR_BIT_BYTES * quantised
        ),
        gradients=ceil(gradients),
        optimizer=ceil(optimizer),
        activations=ceil(held_samples * activations.saved),
        transient=max(ceil(held_samples * activations.transient) + activations.fixed, activations.loss),
        buffers=width * (buckets + gathered),
        step=ceil(step),
        host=ceil(host),
    )

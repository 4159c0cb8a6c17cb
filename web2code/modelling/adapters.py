"""Low-rank adapters on the language model of a multimodal model: put in, saved, merged."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from web2code.config import LoraConfig
from web2code.modelling.four_bits import quantise, round_to_four_bits

if TYPE_CHECKING:  # in seconds, for the stages with adapters only
    import peft

# What transformers calls the language models of its image-text-to-text models.
LANGUAGE_MODEL = ("model.language_model.", "model.text_model.")
# What peft calls the weights of an adapter, the file that they are in, and the model that it wraps.
ADAPTER = ".lora_"
ADAPTER_FILE = "adapter_model.safetensors"
WRAPPED = "base_model.model."
# What LLaVA calls the rest of what was trained.
REST_FILE = "non_lora_trainables.safetensors"
# bitsandbytes, which peft imports, asks for kernels to be downloaded.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def linear_layers(model: PreTrainedModel) -> list[str]:
    """Names of the language model's linear layers, but for its output layer.

    As LLaVA's `find_all_linear_names`; GPT-2's `Conv1D` is a linear layer as well.
    """
    return [
        name
        for name, module in model.named_modules()
        if name.startswith(LANGUAGE_MODEL) and isinstance(module, nn.Linear | Conv1D)
    ]


def adapted_layers(model: PreTrainedModel, lora: LoraConfig) -> list[str]:
    """Names of the linear layers that get an adapter.

    Raises:
        ValueError: a target that the language model has no layer for.
    """
    linear = linear_layers(model)
    kinds = sorted({_kind(name) for name in linear})
    if missing := [target for target in lora.targets if target not in kinds]:
        raise ValueError(f"model.lora.targets: no layer {missing[0]!r} to adapt: choose among {', '.join(kinds)}")
    return [name for name in linear if not lora.targets or _kind(name) in lora.targets]


def add_adapters(model: PreTrainedModel, lora: LoraConfig) -> peft.LoraModel:
    """Put an adapter beside each of those layers, in place; it starts as zero, so that nothing changes at first.

    Returns the same model as peft sees it. Torch's generator decides the half of an adapter that is not zero.
    """
    import peft

    return peft.LoraModel(model, _peft_config(model, lora), "default")


def adapt(model: PreTrainedModel, lora: LoraConfig, seed: int, device: torch.device) -> None:
    """Make a base model, in place, the one that is trained; the same seed gives the same adapters.

    With `lora.four_bit` its linear layers are from now on held on `device`, in four bits.
    """
    if lora.four_bit:
        quantise(model, linear_layers(model), device)
    torch.manual_seed(seed)
    add_adapters(model, lora)


def save_adapters(directory: Path, base: PreTrainedModel, lora: LoraConfig, weights: dict[str, torch.Tensor]) -> None:
    """Write adapters as peft does, for `PeftModel.from_pretrained(base, directory)`, and in a file of its own the rest.

    `weights` are all that was trained, by their names in the adapted model; `base` has no adapters yet.
    """
    directory.mkdir(parents=True, exist_ok=True)
    adapters = {WRAPPED + name.replace(".default.", "."): tensor for name, tensor in weights.items() if ADAPTER in name}
    save_file(adapters, directory / ADAPTER_FILE, metadata={"format": "pt"})
    rest = {name: tensor for name, tensor in weights.items() if ADAPTER not in name}
    save_file(rest, directory / REST_FILE, metadata={"format": "pt"})
    _peft_config(base, lora).save_pretrained(directory)


def merge_adapters(
    base: PreTrainedModel, lora: LoraConfig, weights: dict[str, torch.Tensor], device: torch.device
) -> PreTrainedModel:
    """The base model with what was trained in its own weights; it is changed in place, and has no adapters.

    With `lora.four_bit` adapters are added to what four bits had left of the weights that they were trained beside, and
    the result is rounded to bfloat16: by up to 1/512 of each weight.
    """
    if lora.four_bit:
        round_to_four_bits(base, linear_layers(base), device)
    adapted = add_adapters(base, lora)
    unexpected = base.load_state_dict(weights, strict=False).unexpected_keys
    assert not unexpected, unexpected
    merged = adapted.merge_and_unload()
    return merged.to(torch.bfloat16) if lora.four_bit else merged


def _peft_config(model: PreTrainedModel, lora: LoraConfig) -> peft.LoraConfig:
    import peft

    names = adapted_layers(model, lora)
    kinds = sorted({_kind(name) for name in names})
    within = next(prefix for prefix in LANGUAGE_MODEL if names[0].startswith(prefix))
    return peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        # One expression in place of hundreds of names.
        target_modules=rf"{re.escape(within)}.*\.({'|'.join(kinds)})",
        fan_in_fan_out=isinstance(model.get_submodule(names[0]), Conv1D),
    )


def _kind(name: str) -> str:
    return name.rpartition(".")[2]

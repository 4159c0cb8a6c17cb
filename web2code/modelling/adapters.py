"""Low-rank adapters on the language model of a LLaVA model."""

from __future__ import annotations

from torch import nn
from transformers import LlavaForConditionalGeneration
from transformers.pytorch_utils import Conv1D

from web2code.config import LoraConfig


def adapted_layers(model: LlavaForConditionalGeneration, lora: LoraConfig) -> list[str]:
    """Names of the layers that get an adapter: the language model's linear ones, but for its output layer.

    As LLaVA's `find_all_linear_names`; GPT-2's `Conv1D` is a linear layer as well.

    Raises:
        ValueError: a target that the language model has no layer for.
    """
    prefix = "model.language_model."
    linear = [
        name
        for name, module in model.named_modules()
        if name.startswith(prefix) and isinstance(module, nn.Linear | Conv1D)
    ]
    kinds = sorted({name.rpartition(".")[2] for name in linear})
    if missing := [target for target in lora.targets if target not in kinds]:
        raise ValueError(f"model.lora.targets: no layer {missing[0]!r} to adapt: choose among {', '.join(kinds)}")
    return [name for name in linear if not lora.targets or name.rpartition(".")[2] in lora.targets]


def add_adapters(model: LlavaForConditionalGeneration, lora: LoraConfig) -> None:
    """Put an adapter beside each of those layers, in place; it starts as zero, so that nothing changes at first.

    Raises:
        ValueError: peft is not installed.
    """
    try:
        import peft  # in two seconds, for the recipes with adapters only
    except ModuleNotFoundError:
        raise ValueError("adapters need peft, which is not installed: pip install peft") from None

    names = adapted_layers(model, lora)
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=names,
        fan_in_fan_out=isinstance(model.get_submodule(names[0]), Conv1D),
    )
    peft.inject_adapter_in_model(config, model)

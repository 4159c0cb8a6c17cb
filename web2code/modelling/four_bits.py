"""Linear layers in four bits, as QLoRA holds them: NF4, with scales that are quantised again (arXiv 2305.14314)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:  # an extra, in seconds, for adapters in four bits only
    from bitsandbytes.nn import Params4bit


def quantise(model: nn.Module, names: list[str], device: torch.device) -> None:
    """Replace the named linear layers, in place, by frozen ones that hold their weights on `device` in four bits."""
    from bitsandbytes.nn import Linear4bit

    for name in names:
        layer = model.get_submodule(name)
        held = _in_four_bits(layer, device)
        with torch.device("meta"):
            quantised = Linear4bit(held.quant_state.shape[1], held.quant_state.shape[0], quant_type="nf4")
        quantised.weight, quantised.bias = held, layer.bias
        held.module, quantised.quant_state = quantised, held.quant_state
        model.set_submodule(name, quantised)
    model.is_loaded_in_4bit = True  # how peft is told


def round_to_four_bits(model: nn.Module, names: list[str], device: torch.device) -> None:
    """Give the named linear layers, in place, the weights that are left after `quantise` on the same device."""
    from bitsandbytes.functional import dequantize_4bit

    for name in names:
        layer = model.get_submodule(name)
        held = _in_four_bits(layer, device)
        held.quant_state.dtype = torch.float32  # training rounds these to bfloat16 at every step
        rounded = dequantize_4bit(held.data, held.quant_state)
        layer.weight.data.copy_(rounded if isinstance(layer, nn.Linear) else rounded.T)


def _in_four_bits(layer: nn.Module, device: torch.device) -> Params4bit:
    """A linear layer's weights (outputs, inputs); GPT-2's `Conv1D` has them the other way round."""
    from bitsandbytes.nn import Params4bit

    weight = layer.weight.data if isinstance(layer, nn.Linear) else layer.weight.data.T
    # In bfloat16 whatever the model was loaded in, so that all who round it get the same.
    rounded = weight.to(torch.bfloat16).contiguous()
    return Params4bit(rounded, requires_grad=False, quant_type="nf4", compress_statistics=True).to(device)

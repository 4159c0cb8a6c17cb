"""Floating-point operations that a training step needs, for the share of the GPUs' peak that it gets (MFU)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlavaForConditionalGeneration
from transformers.pytorch_utils import Conv1D


@dataclass(frozen=True)
class ModelFlops:
    """Forward and backward, by what they grow with; nothing for padding, or for what is computed a second time.

    `token` is for each token in a sequence, `square` for the square of each sequence's length, `learned` for each
    learned token, and `picture` for each picture.
    """

    token: int
    square: int
    learned: int
    picture: int

    def of(self, lengths: np.ndarray, num_learned: int, num_pictures: int) -> float:
        """Of samples of some lengths, in tokens, the pictures' included."""
        sequences = self.token * float(lengths.sum()) + self.square * float((lengths.astype(float) ** 2).sum())
        return sequences + self.learned * num_learned + self.picture * num_pictures


def model_flops(model: LlavaForConditionalGeneration) -> ModelFlops:
    """The operations of a model whose parameters are trained or frozen already.

    A weight takes two for each token forwards, two for the gradient that passes through, and two more where it is
    trained (PaLM, arXiv 2204.02311, appendix B); causal attention computes a triangle. A frozen tower runs forwards.
    """
    text, parts = model.config.text_config, model.model
    width = text.num_attention_heads * (getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)
    tower = parts.vision_tower
    trained_tower = any(parameter.requires_grad for parameter in tower.parameters())
    return ModelFlops(
        token=_linear(parts.language_model),
        square=3 * 2 * text.num_hidden_layers * width,
        learned=_linear(model.lm_head),
        picture=_linear(parts.multi_modal_projector) * model.config.image_seq_length
        + (3 if trained_tower else 1) * _forward(tower, model.config.vision_config.image_size),
    )


def _linear(part: nn.Module) -> int:
    """Of its linear layers for one token; four bits pack weights, so that their shape does not tell."""
    total = 0
    for layer in part.modules():
        if isinstance(layer, nn.Linear | Conv1D):
            size = layer.in_features * layer.out_features if isinstance(layer, nn.Linear) else layer.weight.numel()
            total += (6 if layer.weight.requires_grad else 4) * size
    return total


def _forward(tower: nn.Module, image_size: int) -> int:
    """Of a forward pass over one picture, counted without computing it."""
    states = {**dict(tower.named_parameters()), **dict(tower.named_buffers())}
    empty = {name: torch.empty_like(value, device="meta") for name, value in states.items()}
    pixels = torch.empty(1, 3, image_size, image_size, dtype=tower.dtype, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        functional_call(tower, empty, (pixels,))
    return counter.get_total_flops()

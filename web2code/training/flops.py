"""Floating-point operations that a training step needs, for the share of the GPUs' peak that it gets (MFU)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from web2code.training.batches import Batch


@dataclass(frozen=True)
class ModelFlops:
    """Forward and backward, by what they grow with; nothing for padding, or for what is computed a second time.

    `token` is for each token in a sequence, `square` for the square of each sequence's length, and `learned` for each
    learned token. `picture` is for each piece of a picture, `picture_square` for the square of a picture's pieces:
    these are its patches for a Qwen, its tiles for a LLaVA-NeXT, and for a LLaVA it is one piece.
    """

    token: int
    square: int
    learned: int
    picture: int
    picture_square: int = 0

    def of(self, lengths: np.ndarray, num_learned: int, pieces: float, piece_squares: float = 0.0) -> float:
        """Of samples of some lengths, in tokens, the pictures' included."""
        sequences = self.token * float(lengths.sum()) + self.square * float((lengths.astype(float) ** 2).sum())
        pictures = self.picture * pieces + self.picture_square * piece_squares
        return sequences + self.learned * num_learned + pictures


def pieces_of(tensors: Batch) -> np.ndarray:
    """Of each picture of a micro batch, what `ModelFlops` counts in it."""
    if "image_grid_thw" in tensors:
        return tensors["image_grid_thw"].prod(-1).numpy()
    if "image_sizes" in tensors:
        # Where a picture has fewer tiles than another, it is filled up with empty ones.
        return tensors["pixel_values"].flatten(2).any(-1).sum(-1).numpy()
    return np.ones(tensors["num_images"])


def model_flops(model: PreTrainedModel) -> ModelFlops:
    """The operations of a model whose parameters are trained or frozen already.

    A weight takes two for each token forwards, two for the gradient that passes through, and two more where it is
    trained (PaLM, arXiv 2204.02311, appendix B); causal attention computes a triangle. A frozen tower runs forwards.
    """
    text, parts = model.config.get_text_config(), model.model
    width = text.num_attention_heads * (getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)
    picture, picture_square = _of_patches(model) if hasattr(parts, "visual") else (_of_square(model), 0)
    return ModelFlops(
        token=_linear(parts.language_model),
        square=3 * 2 * text.num_hidden_layers * width,
        learned=_linear(model.lm_head),
        picture=picture,
        picture_square=picture_square,
    )


def _of_square(model: PreTrainedModel) -> int:
    """Of a square of the tower's size: a LLaVA's picture, or a LLaVA-NeXT's tile."""
    vision, parts = model.config.vision_config, model.model
    tiled = hasattr(model.config, "image_grid_pinpoints")
    seen = (vision.image_size // vision.patch_size) ** 2 if tiled else model.config.image_seq_length
    pixels = torch.empty(1, 3, vision.image_size, vision.image_size, dtype=parts.vision_tower.dtype, device="meta")
    passes = _passes(parts.vision_tower.parameters())
    return passes * _forward(parts.vision_tower, pixels) + seen * _projected([parts.multi_modal_projector], passes)[1]


def _of_patches(model: PreTrainedModel) -> tuple[int, int]:
    """Of each patch of a Qwen's pictures, and of the square of their number: told by pictures of two sizes."""
    from web2code.estimate.pictures import grid_inputs  # pydantic's, which other models do not need

    tower, sides = model.model.visual, (8, 16)
    given = [grid_inputs(model, side, side, 1) for side in sides]
    totals = [
        _forward(tower, inputs.pop("pixel_values"), grid_thw=inputs.pop("image_grid_thw"), **inputs) for inputs in given
    ]
    few, many = (side**2 * tower.spatial_merge_size**2 for side in sides)
    square = (totals[1] / many - totals[0] / few) / (many - few)
    linear = totals[0] / few - square * few
    passes = _passes(each for name, each in tower.named_parameters() if "merger" not in name)
    projectors = [module for name, module in tower.named_children() if "merger" in name]
    forward, all_passes = (value / tower.spatial_merge_size**2 for value in _projected(projectors, passes))
    return round(passes * (linear - forward) + all_passes), round(passes * square)


def _projected(projectors: Sequence[nn.Module], tower_passes: int) -> tuple[int, int]:
    """Of projectors, for one position: forwards, and in all; where a tower is trained they pass its gradient on."""
    layers = [layer for module in projectors for layer in module.modules() if isinstance(layer, nn.Linear)]
    forward = sum(2 * layer.in_features * layer.out_features for layer in layers)
    passes = _passes(each for layer in layers for each in layer.parameters())
    return forward, forward * max(passes, 2 if tower_passes > 1 else 1)


def _passes(parameters: Iterable[nn.Parameter]) -> int:
    """Forward, and twice as much backward where any of them is trained."""
    return 3 if any(parameter.requires_grad for parameter in parameters) else 1


def _linear(part: nn.Module) -> int:
    """Of its linear layers for one token; four bits pack weights, so that their shape does not tell."""
    total = 0
    for layer in part.modules():
        if isinstance(layer, nn.Linear | Conv1D):
            size = layer.in_features * layer.out_features if isinstance(layer, nn.Linear) else layer.weight.numel()
            total += (6 if layer.weight.requires_grad else 4) * size
    return total


def _forward(tower: nn.Module, *inputs: torch.Tensor, **others: Any) -> int:
    """Of a forward pass, counted without computing it."""
    states = {**dict(tower.named_parameters()), **dict(tower.named_buffers())}
    empty = {name: torch.empty_like(value, device="meta") for name, value in states.items()}
    given = tree_map_only(torch.Tensor, lambda value: value.to("meta"), (inputs, others))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        functional_call(tower, empty, *given)
    return counter.get_total_flops()

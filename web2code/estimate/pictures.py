"""What image-text-to-text models are given of a page's picture, without its content."""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch._subclasses.fake_tensor import unset_fake_temporarily
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.image_processing_utils import select_best_resolution
from transformers.vision_utils import (
    get_vision_cu_seqlens,
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
    get_vision_window_index,
)

from web2code.config import Config, Recipe

LLAVA_NEXT = "llava_next"


class Page(Config):
    """A page's picture: its size in pixels, and the positions that it takes in a sequence."""

    image_tokens: int = 0
    height: int = 0
    width: int = 0


def page_of(recipe: Recipe) -> Page:
    """What a recipe says of a page."""
    viewport = recipe.pages.viewport
    return Page(image_tokens=recipe.validation.image_tokens, height=viewport.height, width=viewport.width)


def is_known(config: PreTrainedConfig) -> bool:
    """Whether it is known what the model is given of pictures."""
    return config.model_type in (LLAVA_NEXT, "qwen2_5_vl", "qwen3_vl")


def picture_inputs(model: PreTrainedModel, page: Page, num: int, apart: bool) -> dict[str, Any]:
    """What the model's `get_image_features` takes of so many pictures of a page.

    `apart` keeps attention within each picture and window. Without, it takes as much memory, and less time to trace.
    """
    if model.config.model_type == LLAVA_NEXT:
        return _tiles(model, page, num)
    merged = model.model.visual.spatial_merge_size * model.model.visual.patch_size
    shrunken = sqrt(page.image_tokens * merged**2 / (page.height * page.width))
    rows = max(1, round(page.height * shrunken / merged))
    return grid_inputs(model, rows, page.image_tokens // rows, num, apart)


def grid_inputs(model: PreTrainedModel, rows: int, columns: int, num: int, apart: bool = True) -> dict[str, Any]:
    """Of a Qwen, of pictures that take `rows * columns` positions each.

    What is made of the pictures' sizes is made beforehand, as for tensors without content it could not be.
    """
    tower, shape = model.model.visual, model.config.vision_config
    merge = tower.spatial_merge_size
    with unset_fake_temporarily():
        grid = torch.tensor([[1, rows * merge, columns * merge]] * num)
        made: dict[str, Any] = {
            "image_grid_thw": grid.numpy(),
            "position_ids": get_vision_position_ids(grid, merge),
            "cu_seqlens": get_vision_cu_seqlens(grid).numpy(),
        }
        if hasattr(tower, "window_size"):
            order, bounds = get_vision_window_index(grid, merge, tower.window_size, tower.patch_size)
            made |= {"window_index": order, "cu_window_seqlens": bounds.numpy()}
        if not apart:
            made |= {name: bounds[[0, -1]] for name, bounds in made.items() if name.startswith("cu_")}
        if hasattr(tower, "num_grid_per_side"):
            indices, weights = get_vision_interpolation_indices_and_weights(
                grid, tower.num_grid_per_side, spatial_merge_size=merge
            )
            made |= {"interp_indices": indices, "interp_weights": weights}
    values = shape.in_channels * shape.temporal_patch_size * shape.patch_size**2
    pixels = torch.zeros(num * rows * columns * merge**2, values, dtype=model.dtype)
    return {"pixel_values": pixels, **made}


def _tiles(model: PreTrainedModel, page: Page, num: int) -> dict[str, Any]:
    """Squares of the tower's size, which a LLaVA-NeXT cuts a picture into after it has seen the whole of it in one."""
    size = model.config.vision_config.image_size
    height, width = select_best_resolution((page.height, page.width), model.config.image_grid_pinpoints)
    pixels = torch.zeros(num, 1 + -(-height // size) * -(-width // size), 3, size, size, dtype=model.dtype)
    return {"pixel_values": pixels, "image_sizes": [(page.height, page.width)] * num}

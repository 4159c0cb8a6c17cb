"""The mixture-of-resolution modules of LLaVA-HR, which bring a feature map into a sequence of patches."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional
from transformers import initialization as init


class ResolutionAdapter(nn.Module):
    """Patches with a feature map mixed in, weighed by one gate a picture; a new adapter changes nothing.

    Follows LLaVA-HR (arXiv 2403.03003) and its published `S2FStitchAlignModuleV2`, whose parameter names these are:
    `fast` is the pathway of low resolution, CLIP's patches, and `slow` that of high resolution, ConvNeXt's map.
    """

    def __init__(self, fast_size: int, slow_size: int) -> None:
        super().__init__()
        self.slow_conv = nn.Conv2d(slow_size, slow_size, 1)
        self.slow_proj = nn.Conv2d(slow_size, fast_size, 1)
        self.fast_conv = nn.Conv2d(fast_size, fast_size, 7, padding=3, groups=fast_size)
        self.fast_proj = nn.Conv2d(fast_size, fast_size, 1)
        self.gate = nn.Sequential(nn.Linear(2 * fast_size, fast_size // 2), nn.GELU(), nn.Linear(fast_size // 2, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Both projections to zero, which makes the module an identity; the gate is left as it is."""
        for conv in (self.slow_conv, self.fast_conv):
            init.xavier_uniform_(conv.weight)
            init.zeros_(conv.bias)
        for projection in (self.slow_proj, self.fast_proj):
            init.zeros_(projection.weight)
            init.zeros_(projection.bias)

    def forward(self, fast: torch.Tensor, slow: torch.Tensor) -> torch.Tensor:
        """Patches (batch, grid * grid, fast_size) and map (batch, slow_size, height, height) to patches."""
        grid = math.isqrt(fast.shape[1])
        slow = patches(align(self.slow_proj(functional.gelu(self.slow_conv(slow))), grid))
        picture = fast.transpose(1, 2).unflatten(2, (grid, grid))
        fast = fast + patches(self.fast_proj(functional.gelu(self.fast_conv(picture))))
        gate = self.gate(torch.cat([fast, slow], dim=-1).mean(dim=1, keepdim=True))
        return fast + slow * gate.tanh()


class ResolutionMerge(nn.Module):
    """The sum of patches and a feature map, each after a linear layer; a new one gives the patches alone.

    Follows the published `MultiPathAlignModule`, which starts with two random layers: an identity and a zero keep what
    a projector has learned on CLIP's features.
    """

    def __init__(self, fast_size: int, slow_size: int) -> None:
        super().__init__()
        self.fast_proj = nn.Linear(fast_size, fast_size)
        self.slow_proj = nn.Linear(slow_size, fast_size)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The patches' layer to the identity and the map's to zero."""
        init.eye_(self.fast_proj.weight)
        init.zeros_(self.slow_proj.weight)
        for projection in (self.fast_proj, self.slow_proj):
            init.zeros_(projection.bias)

    def forward(self, fast: torch.Tensor, slow: torch.Tensor) -> torch.Tensor:
        """Patches (batch, grid * grid, fast_size) and map (batch, slow_size, height, height) to patches."""
        return self.fast_proj(fast) + self.slow_proj(patches(align(slow, math.isqrt(fast.shape[1]))))


def align(features: torch.Tensor, grid: int) -> torch.Tensor:
    """A map (batch, channels, height, height) on another grid: averaged where it is finer, interpolated where coarser.

    One side must be a multiple of the other.
    """
    height = features.shape[-1]
    if height > grid:
        return functional.avg_pool2d(features, height // grid)
    if height < grid:
        size = (grid, grid)
        larger = functional.interpolate(features.float(), size=size, mode="bilinear", align_corners=True)
        return larger.to(features.dtype)
    return features


def patches(features: torch.Tensor) -> torch.Tensor:
    """A map (batch, channels, height, width) as a sequence (batch, height * width, channels)."""
    return features.flatten(2).transpose(1, 2)

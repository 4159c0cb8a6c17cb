"""Screenshots as the vision tower's input."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from web2code.data.images import FORMATS, MAX_PIXELS

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Channels = tuple[float, float, float]
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)


def decoded(encoded: bytes) -> Image.Image:
    """A picture in RGB: the first frame, as it is stored, without transparency.

    Raises:
        ValueError: it has more than `MAX_PIXELS` pixels, which is refused before decoding.
        OSError: it is none of `FORMATS`, or damaged.
    """
    with Image.open(io.BytesIO(encoded), formats=FORMATS) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise ValueError(f"a picture of {opened.width}x{opened.height} pixels is over the limit of {MAX_PIXELS}")
        picture = opened.convert("RGB")
    picture.info.clear()  # processors would turn it as its EXIF says, which no training has done
    return picture


def square_pixels(png: bytes, size: int, mean: Channels = CLIP_MEAN) -> np.ndarray:
    """The picture padded to a square with the tower's mean colour and resized: uint8 of shape (size, size, 3).

    The padding is LLaVA-1.5's `expand2square` (`image_aspect_ratio pad`). ValueError as `decoded`.
    """
    image = decoded(png)
    side = max(image.size)
    if image.width != image.height:
        square = Image.new("RGB", (side, side), tuple(int(255 * channel) for channel in mean))
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0))


def pixel_statistics(vision: PreTrainedConfig) -> tuple[Channels, Channels]:
    """Mean and deviation of the channels that a tower was trained with: one half for SigLIP, CLIP's for all others."""
    return (HALF, HALF) if vision.model_type.startswith("siglip") else (CLIP_MEAN, CLIP_STD)


def normalise(pixels: np.ndarray | torch.Tensor, mean: Channels = CLIP_MEAN, std: Channels = CLIP_STD) -> torch.Tensor:
    """A tower's normalisation: uint8 (n, h, w, 3) to float32 (n, 3, h, w)."""
    values = torch.as_tensor(pixels).permute(0, 3, 1, 2).contiguous().float().div_(255.0)
    return values.sub_(torch.tensor(mean).view(1, 3, 1, 1)).div_(torch.tensor(std).view(1, 3, 1, 1))

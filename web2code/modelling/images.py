"""Screenshots as the vision tower's input."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
MAX_PIXELS = 64_000_000


def square_pixels(png: bytes, size: int) -> np.ndarray:
    """The picture padded to a square with CLIP's mean colour and resized: uint8 of shape (size, size, 3).

    The padding is LLaVA-1.5's `expand2square` (`image_aspect_ratio pad`).

    Raises:
        ValueError: the picture has more than `MAX_PIXELS` pixels, which is refused before decoding.
    """
    with Image.open(io.BytesIO(png)) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise ValueError(f"a picture of {opened.width}x{opened.height} pixels is over the limit of {MAX_PIXELS}")
        image = opened.convert("RGB")
    side = max(image.size)
    if image.width != image.height:
        square = Image.new("RGB", (side, side), tuple(int(255 * channel) for channel in CLIP_MEAN))
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0))


def normalise(pixels: np.ndarray | torch.Tensor) -> torch.Tensor:
    """CLIP's normalisation: uint8 (n, h, w, 3) to float32 (n, 3, h, w)."""
    values = torch.as_tensor(pixels).permute(0, 3, 1, 2).float() / 255.0
    mean = torch.tensor(CLIP_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(CLIP_STD).view(1, 3, 1, 1)
    return (values - mean) / std

"""How alike two pages look to CLIP once their text is taken out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from transformers import CLIPVisionModelWithProjection

from web2code.evaluation.design2code.blocks import Block
from web2code.modelling.images import normalise

INPAINT_RADIUS = 3


class ClipEncoder:
    """CLIP's vision tower with its projection; the published scores are those of ViT-B/32."""

    def __init__(self, model: CLIPVisionModelWithProjection) -> None:
        self.model = model.eval()

    def features(self, pixels: np.ndarray, blocks: Sequence[Block]) -> torch.Tensor:
        """The features of a page, of length 1, without the text in some blocks.

        The page is squeezed to a square, its aspect ratio lost, as published.

        Args:
            pixels: sRGB of shape (height, width, 3), uint8.
        """
        image = Image.fromarray(without_text(pixels, blocks))
        side, size = min(image.size), self.model.config.image_size
        square = image.resize((side, side), Image.Resampling.LANCZOS).resize((size, size), Image.Resampling.BICUBIC)
        with torch.inference_mode():
            values = normalise(np.array(square)[None]).to(self.model.device, self.model.dtype)
            features = self.model(pixel_values=values).image_embeds[0].float().cpu()
        return features / features.norm()


def load_clip(folder: Path, device: str = "cpu") -> ClipEncoder:
    """The encoder of a CLIP checkpoint in transformers' form."""
    return ClipEncoder(CLIPVisionModelWithProjection.from_pretrained(folder, local_files_only=True).to(device))


def without_text(pixels: np.ndarray, blocks: Sequence[Block]) -> np.ndarray:
    """The picture with the blocks filled from around them, by Telea's method (2004, J. Graphics Tools 9:23-34)."""
    if not blocks:
        return pixels
    height, width, _ = pixels.shape
    mask = np.zeros((height, width), np.uint8)
    for block in blocks:
        left, top = int(block.box[0] * width), int(block.box[1] * height)
        mask[top : top + int(block.box[3] * height), left : left + int(block.box[2] * width)] = 255
    return cv2.inpaint(pixels, mask, INPAINT_RADIUS, cv2.INPAINT_TELEA)

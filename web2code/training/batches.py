"""Tensors of a micro batch."""

from __future__ import annotations

import numpy as np
import torch

from web2code.modelling.images import normalise
from web2code.modelling.prompts import IGNORED
from web2code.training.arrays import Arrays

LENGTH_MULTIPLE = 16


def collate(arrays: Arrays, indices: np.ndarray, pad_token: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Token ids and labels (batch, length), padded at the right, and pixels (batch, 3, size, size)."""
    samples = [arrays.sample(int(index)) for index in indices]
    longest = max(len(sample.tokens) for sample in samples)
    length = -(-longest // LENGTH_MULTIPLE) * LENGTH_MULTIPLE
    input_ids = torch.full((len(samples), length), pad_token)
    labels = torch.full((len(samples), length), IGNORED)
    for row, sample in enumerate(samples):
        input_ids[row, : len(sample.tokens)] = torch.tensor(sample.tokens)
        labels[row, : len(sample.labels)] = torch.tensor(sample.labels)
    pixels = normalise(np.stack([arrays.pixels[arrays.pages[int(index)]] for index in indices]))
    return {"input_ids": input_ids, "labels": labels, "pixel_values": pixels.to(dtype)}

"""Tensors of a micro batch, as padded rows or as one packed sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from web2code.modelling.images import normalise
from web2code.modelling.samples import IGNORED, Sample
from web2code.training.arrays import Arrays

if TYPE_CHECKING:
    from web2code.modelling.image_text import ImageTextProcessor

LENGTH_MULTIPLE = 16
Batch = dict[str, Any]


def collate(arrays: Arrays, indices: np.ndarray, pad_token: int, dtype: torch.dtype) -> Batch:
    """Token ids and labels (batch, length), padded at the right, and pixels (num_images, 3, size, size)."""
    rows = _rows([arrays.sample(int(index)) for index in indices], pad_token)
    return {**rows, **_pictures(arrays, indices, dtype)}


def collate_processed(
    arrays: Arrays,
    processor: ImageTextProcessor,
    indices: np.ndarray,
    pad_token: int,
    dtype: torch.dtype,
    packed: bool = False,
) -> Batch:
    """Rows or a pack of an image-text-to-text model: pictures, and what every position is, as its processor has them.

    Where no sample has a picture one more shows a small one, of which nothing is learned: so all workers compute with
    the same weights.
    """
    samples, files = [arrays.sample(int(index)) for index in indices], arrays.files(indices)
    if not files:
        tokens, file = processor.stand_in
        samples.append(Sample(tokens, [IGNORED] * len(tokens)))
        files.append(file)
    sequences = _pack(samples) if packed else _rows(samples, pad_token)
    return {**sequences, **processor.positions(sequences["input_ids"]), **processor.tensors(files, dtype)}


def _rows(samples: list[Sample], pad_token: int) -> Batch:
    longest = max(len(sample.tokens) for sample in samples)
    length = -(-longest // LENGTH_MULTIPLE) * LENGTH_MULTIPLE
    input_ids = torch.full((len(samples), length), pad_token)
    labels = torch.full((len(samples), length), IGNORED)
    for row, sample in enumerate(samples):
        input_ids[row, : len(sample.tokens)] = torch.tensor(sample.tokens)
        labels[row, : len(sample.labels)] = torch.tensor(sample.labels)
    return {"input_ids": input_ids, "labels": labels}


def collate_packed(arrays: Arrays, indices: np.ndarray, dtype: torch.dtype) -> Batch:
    """The samples one after another in one row, and what keeps them apart; names are those of transformers.

    `input_ids`, `labels` and `position_ids` are (1, length); `cu_seq_lens_q` and `_k` are the samples' bounds, int32
    of shape (num_samples + 1,); `pixel_values` is (num_images, 3, size, size). Positions start again with every
    sample, and its first token is no label: it would be predicted from the sample before.
    """
    return {**_pack([arrays.sample(int(index)) for index in indices]), **_pictures(arrays, indices, dtype)}


def _pack(samples: list[Sample]) -> Batch:
    lengths = [len(sample.tokens) for sample in samples]
    labels = torch.tensor([label for sample in samples for label in (IGNORED, *sample.labels[1:])])
    bounds = torch.tensor([0, *lengths]).cumsum(0, dtype=torch.int32)
    return {
        "input_ids": torch.tensor([token for sample in samples for token in sample.tokens])[None],
        "labels": labels[None],
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
        "cu_seq_lens_q": bounds,
        "cu_seq_lens_k": bounds,
        "max_length_q": max(lengths),
        "max_length_k": max(lengths),
    }


def _pictures(arrays: Arrays, indices: np.ndarray, dtype: torch.dtype) -> Batch:
    pixels = arrays.shown(indices)
    normalised = normalise(pixels, arrays.layout.pixel_mean, arrays.layout.pixel_std)
    return {"pixel_values": normalised.to(dtype), "num_images": len(pixels)}

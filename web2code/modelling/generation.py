"""Greedy generation by transformers from a checkpoint that carries its own template."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedModel

from web2code.config import WeightsType
from web2code.modelling.base import load_reader, load_template
from web2code.modelling.image_text import ImageTextProcessor
from web2code.modelling.images import normalise, pixel_statistics, square_pixels
from web2code.modelling.llava import load_model
from web2code.modelling.prompts import answer_text, conversation_prompt, question_about, stop_ids

BATCH = 64
# What is kept of a published generation config: what answers begin and end with. Penalties are not greedy.
KEPT = (
    "bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "forced_bos_token_id",
    "forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens",
)  # fmt: skip
# What a question is about: a picture, or any number of them.
Pictures: TypeAlias = bytes | Sequence[bytes]
# A page is asked about several times in a row.
_square_pixels = lru_cache(maxsize=BATCH)(square_pixels)


def loading_type(dtype: WeightsType, device: str) -> torch.dtype | Literal["auto"]:
    """What weights are loaded in: `auto` is as they were saved, and float32 on CPUs."""
    if dtype == "auto":
        return torch.float32 if device == "cpu" else "auto"
    return getattr(torch, dtype)


def greedy(model: PreTrainedModel) -> None:
    """Have a model write the likeliest token each time, whatever its published generation config says."""
    model.generation_config = GenerationConfig(**{name: getattr(model.generation_config, name, None) for name in KEPT})


class Generator:
    """A loaded checkpoint.

    Args:
        max_length: of a prompt with its answer, in tokens; 0 is the model's own.
    """

    def __init__(self, checkpoint: Path, device: str = "cpu", dtype: WeightsType = "auto", max_length: int = 0) -> None:
        self.model = load_model(checkpoint, loading_type(dtype, device)).to(device).eval()
        greedy(self.model)
        reader = load_reader(checkpoint)
        self.processor = reader if isinstance(reader, ImageTextProcessor) else None
        self.tokenizer = reader.tokenizer if isinstance(reader, ImageTextProcessor) else reader
        self.template = load_template(checkpoint)
        self.device, self.max_length = device, max_length

    def generate(
        self,
        images: Sequence[Pictures],
        prompts: Sequence[str],
        max_new_tokens: int,
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[str]:
        """The model's answer to each prompt, in order.

        Args:
            images: for each prompt its picture, encoded as PNG or JPEG, or as many as it is about, or none.

        Raises:
            ValueError: a prompt leaves no room for an answer in the model's context.
        """
        return list(self.stream(images, prompts, max_new_tokens, progress))

    def stream(
        self,
        images: Sequence[Pictures],
        prompts: Sequence[str],
        max_new_tokens: int,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Iterator[str]:
        """As `generate`, yielding each batch's answers as soon as the batch is done."""
        for start in range(0, len(images), BATCH):
            chunk = slice(start, start + BATCH)
            pictures = [(one,) if isinstance(one, bytes) else tuple(one) for one in images[chunk]]
            yield from self._generate_batch(pictures, prompts[chunk], max_new_tokens)
            progress(min(start + BATCH, len(images)))

    @torch.inference_mode()
    def _generate_batch(
        self, images: list[tuple[bytes, ...]], prompts: Sequence[str], max_new_tokens: int
    ) -> list[str]:
        rows = [self._prompt(*asked) for asked in zip(images, prompts, strict=True)]
        limits = [min(max_new_tokens, self._room(row)) for row in rows]
        length = max(len(row) for row in rows)
        pad = self.tokenizer.pad_token_id
        # Left padding: every answer starts at the same position.
        input_ids = torch.tensor([[pad] * (length - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
        shown = self._shown(list(chain.from_iterable(images)))
        if self.processor:
            shown |= self.processor.positions(input_ids)
        output = self.model.generate(
            input_ids=input_ids.to(self.device),
            attention_mask=mask.to(self.device),
            **{name: value.to(self.device) for name, value in shown.items()},
            max_new_tokens=max(limits),
            do_sample=False,
            # One cache for the whole answer: one that grows is copied for every token.
            cache_implementation="static",
            disable_compile=True,
            pad_token_id=pad,
            eos_token_id=stop_ids(self.tokenizer, self.template),
            stop_strings=list(self.template.stop_strings) or None,
            tokenizer=self.tokenizer,
        )
        # A prompt that nearly fills the context cuts nobody else's answer: beyond its own limit it is written on.
        answers = [row[length : length + limit].tolist() for row, limit in zip(output, limits, strict=True)]
        return [answer_text(self.tokenizer, self.template, answer) for answer in answers]

    def _room(self, row: list[int]) -> int:
        """How many tokens an answer may have."""
        context = self.max_length or self.model.config.get_text_config().max_position_embeddings
        if len(row) >= context:
            raise ValueError(f"the prompt takes {len(row)} tokens, its pictures' included, of a context of {context}")
        return context - len(row)

    def _prompt(self, images: tuple[bytes, ...], prompt: str) -> list[int]:
        """Token ids of a question: as LLaVA sees its pictures, or as the processor of a model that is published whole.

        The text is what the exported checkpoint's chat template makes of the same pictures and prompt.
        """
        if self.processor is None:
            asked, size = question_about(prompt, len(images)), self.model.config.image_seq_length
            return conversation_prompt(self.tokenizer, self.template, asked, size)
        asked = question_about(prompt, len(images), line=self.processor.line)
        return conversation_prompt(self.tokenizer, self.template, asked, map(self.processor.tokens, images))

    def _shown(self, images: list[bytes]) -> dict[str, Any]:
        """What the model sees of pictures, in their order; nothing where there are none."""
        if not images:
            return {}
        if self.processor:
            return self.processor.tensors(images, self.model.dtype)
        config = self.model.config.vision_config
        mean, std = pixel_statistics(config)
        pixels = np.stack([_square_pixels(image, config.image_size, mean) for image in images])
        return {"pixel_values": normalise(pixels, mean, std).to(self.model.dtype)}

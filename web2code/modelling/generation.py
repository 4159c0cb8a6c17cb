"""Greedy generation by transformers from a checkpoint that carries its own template."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from web2code.modelling.base import load_reader, load_template
from web2code.modelling.image_text import ImageTextProcessor
from web2code.modelling.images import normalise, pixel_statistics, square_pixels
from web2code.modelling.llava import load_model
from web2code.modelling.prompts import about_image, answer_text, conversation_prompt, prompt_tokens, stop_ids

BATCH = 64
# A page is asked about several times in a row.
_square_pixels = lru_cache(maxsize=BATCH)(square_pixels)


class Generator:
    """A loaded checkpoint."""

    def __init__(self, checkpoint: Path, device: str = "cpu") -> None:
        self.model = load_model(checkpoint, torch.float32 if device == "cpu" else "auto").to(device).eval()
        reader = load_reader(checkpoint)
        self.processor = reader if isinstance(reader, ImageTextProcessor) else None
        self.tokenizer = reader.tokenizer if isinstance(reader, ImageTextProcessor) else reader
        self.template = load_template(checkpoint)
        self.device = device

    def generate(
        self,
        images: list[bytes],
        prompts: list[str],
        max_new_tokens: int,
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[str]:
        """The model's answer to each (picture, prompt) pair, in order. Pictures are encoded PNG or JPEG."""
        return list(self.stream(images, prompts, max_new_tokens, progress))

    def stream(
        self,
        images: list[bytes],
        prompts: list[str],
        max_new_tokens: int,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Iterator[str]:
        """As `generate`, yielding each batch's answers as soon as the batch is done."""
        for start in range(0, len(images), BATCH):
            chunk = slice(start, start + BATCH)
            yield from self._generate_batch(images[chunk], prompts[chunk], max_new_tokens)
            progress(min(start + BATCH, len(images)))

    @torch.inference_mode()
    def _generate_batch(self, images: list[bytes], prompts: list[str], max_new_tokens: int) -> list[str]:
        rows, shown = self._processed(images, prompts) if self.processor else self._squares(images, prompts)
        length = max(len(row) for row in rows)
        pad = self.tokenizer.pad_token_id
        # Left padding: every answer starts at the same position.
        input_ids = torch.tensor([[pad] * (length - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
        room = self.model.config.get_text_config().max_position_embeddings - length
        if self.processor:
            shown |= self.processor.positions(input_ids)
        output = self.model.generate(
            input_ids=input_ids.to(self.device),
            attention_mask=mask.to(self.device),
            **{name: value.to(self.device) for name, value in shown.items()},
            max_new_tokens=min(max_new_tokens, room),
            do_sample=False,
            # One cache for the whole answer: one that grows is copied for every token.
            cache_implementation="static",
            disable_compile=True,
            pad_token_id=pad,
            eos_token_id=stop_ids(self.tokenizer, self.template),
            stop_strings=list(self.template.stop_strings) or None,
            tokenizer=self.tokenizer,
        )
        return [answer_text(self.tokenizer, self.template, row[length:].tolist()) for row in output]

    def _squares(self, images: list[bytes], prompts: list[str]) -> tuple[list[list[int]], dict[str, Any]]:
        """Token ids of questions, each about a picture, and the pictures as LLaVA sees them."""
        config = self.model.config
        size, (mean, std) = config.vision_config.image_size, pixel_statistics(config.vision_config)
        rows = [prompt_tokens(self.tokenizer, self.template, prompt, config.image_seq_length) for prompt in prompts]
        pixels = np.stack([_square_pixels(image, size, mean) for image in images])
        return rows, {"pixel_values": normalise(pixels, mean, std)}

    def _processed(self, images: list[bytes], prompts: list[str]) -> tuple[list[list[int]], dict[str, Any]]:
        """The same of a model that is published whole, by its own processor."""
        processor = self.processor
        assert processor is not None
        rows = []
        for image, prompt in zip(images, prompts, strict=True):
            asked = about_image((prompt, None), line=processor.line)
            rows.append(conversation_prompt(self.tokenizer, self.template, asked, processor.tokens(image)))
        return rows, processor.tensors(images, self.model.dtype)

"""transformers: checkpoints of this project by their own template, other models by that of their processor."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
import transformers
from PIL import Image
from transformers import AutoModelForImageTextToText, ProcessorMixin

from web2code.evaluation.engines.engine import Inbox, Reply, Request
from web2code.modelling.base import PROMPTING
from web2code.modelling.generation import Generator
from web2code.modelling.image_text import load_processor

MAX_PIXELS = 64_000_000


class Batches(Protocol):
    """What answers a batch of requests that have the same limit of new tokens."""

    def answer(self, requests: Sequence[Request]) -> list[str]:
        """One answer for each request, in order."""
        ...


class TransformersEngine:
    """A model that transformers loads. A bundle is answered in batches; one that fails, request by request.

    Args:
        model: folder of a checkpoint, or public name.
        batch: requests in a batch, for models that are not of this project.
    """

    def __init__(self, model: str, device: str = "cpu", batch: int = 8) -> None:
        own = (Path(model) / PROMPTING).exists()
        self.batches: Batches = OwnCheckpoint(model, device) if own else AnyModel(model, device, batch)

    def stream(self, inbox: Inbox) -> Iterator[list[Reply]]:
        """Replies, bundle by bundle."""
        while (bundle := inbox.take()) is not None:
            for _, run in groupby(bundle, key=lambda request: request.max_new_tokens):
                yield list(self._answer(list(run)))

    def version(self) -> str:
        """The versions of what runs the model."""
        return f"transformers {transformers.__version__}, torch {torch.__version__}"

    def _answer(self, requests: list[Request]) -> Iterator[Reply]:
        try:
            texts = self.batches.answer(requests)
        except Exception as error:
            if len(requests) == 1:
                yield Reply(requests[0].key, error=f"{type(error).__name__}: {error}"[:300])
                return
            for request in requests:
                yield from self._answer([request])
            return
        for request, text in zip(requests, texts, strict=True):
            yield Reply(request.key, text)


class OwnCheckpoint:
    """A checkpoint with its template beside it."""

    def __init__(self, model: str, device: str) -> None:
        self.generator = Generator(Path(model), device)

    def answer(self, requests: Sequence[Request]) -> list[str]:
        """By this project's own prompts.

        Raises:
            ValueError: a request leaves no room for its answer.
        """
        images, prompts = [request.images for request in requests], [request.prompt for request in requests]
        return self.generator.generate(images, prompts, requests[0].max_new_tokens)


class AnyModel:
    """A public model with its own processor and chat template."""

    def __init__(self, model: str, device: str, batch: int) -> None:
        self.processor, self.model = _loaded(model, torch.float32 if device == "cpu" else "auto")
        self.model = self.model.to(device).eval()
        self.processor.tokenizer.padding_side = "left"
        if self.processor.tokenizer.pad_token is None:
            self.processor.tokenizer.pad_token = self.processor.tokenizer.eos_token
        self.device, self.batch = device, batch

    def answer(self, requests: Sequence[Request]) -> list[str]:
        """By the processor's chat template, greedily."""
        texts: list[str] = []
        for start in range(0, len(requests), self.batch):
            texts += self._answer(requests[start : start + self.batch])
        return texts

    @torch.inference_mode()
    def _answer(self, requests: Sequence[Request]) -> list[str]:
        inputs = self.processor.apply_chat_template(
            [_conversation(request) for request in requests],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        ).to(self.device, self.model.dtype)
        output = self.model.generate(**inputs, max_new_tokens=requests[0].max_new_tokens, do_sample=False)
        answers = output[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in self.processor.batch_decode(answers, skip_special_tokens=True)]


def _loaded(model: str, dtype: torch.dtype | Literal["auto"]) -> tuple[ProcessorMixin, Any]:
    """A public model and its processor, of code that transformers brings.

    Raises:
        ValueError: the model brings code of its own, which is never run here.
    """
    try:
        processor = load_processor(model)
        return processor, AutoModelForImageTextToText.from_pretrained(model, dtype=dtype, trust_remote_code=False)
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise ValueError(
            f"{model} brings Python code of its own, which is not run here. Serve it where that code may run, e.g. "
            f"`vllm serve {model} --trust-remote-code`, and evaluate it there: "
            f"`web2code evaluate {model} --url http://127.0.0.1:8000/v1 --benchmarks ...`"
        ) from None


def _conversation(request: Request) -> list[dict]:
    pictures = [{"type": "image", "image": _picture(data)} for data in request.images]
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": request.prompt}]}]


def _picture(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"a picture of {image.width}x{image.height} pixels is over the limit of {MAX_PIXELS}")
    return image.convert("RGB")

"""transformers: checkpoints of this project by their own template, other models by that of their processor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import torch
import transformers
from transformers import AutoModelForImageTextToText, ProcessorMixin

from web2code.config import WeightsType
from web2code.evaluation.engines.engine import Inbox, Reply, Request
from web2code.modelling.base import PROMPTING
from web2code.modelling.generation import Generator, greedy, loading_type
from web2code.modelling.image_text import load_processor
from web2code.modelling.images import decoded

# Requests in a batch, for models that are not of this project.
BATCH = 8


class Batches(Protocol):
    """What answers a batch of requests that have the same limit of new tokens."""

    model: Any

    def answer(self, requests: Sequence[Request]) -> list[str]:
        """One answer for each request, in order."""
        ...


class TransformersEngine:
    """A model that transformers loads. A bundle is answered in batches; one that fails, request by request.

    Args:
        model: folder of a checkpoint, or public name.
        dtype: of the weights; `auto` is as they were saved, and float32 on CPUs.
        max_length: of a prompt with its answer, in tokens; 0 is the model's own.
        revision: of a public name; empty means the newest.
    """

    def __init__(
        self, model: str, device: str = "cpu", dtype: WeightsType = "auto", max_length: int = 0, revision: str = ""
    ) -> None:
        is_own = (Path(model) / PROMPTING).exists()
        self.batches: Batches = (
            OwnCheckpoint(model, device, dtype, max_length)
            if is_own
            else AnyModel(model, device, dtype, max_length, revision)
        )

    def stream(self, inbox: Inbox) -> Iterator[list[Reply]]:
        """Replies, bundle by bundle."""
        while (bundle := inbox.take()) is not None:
            for _, run in groupby(bundle, key=lambda request: request.max_new_tokens):
                yield list(self._answer(list(run)))

    def version(self) -> str:
        """The versions of what runs the model, and the type of its weights."""
        dtype = str(self.batches.model.dtype).removeprefix("torch.")
        return f"transformers {transformers.__version__}, torch {torch.__version__}, {dtype}"

    def _answer(self, requests: list[Request]) -> Iterator[Reply]:
        try:
            texts = self.batches.answer(requests)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:300]
        else:
            yield from (Reply(request.key, text) for request, text in zip(requests, texts, strict=True))
            return
        if len(requests) == 1:
            yield Reply(requests[0].key, error=reason)
            return
        for request in requests:  # only here, for an error that is being handled keeps what its batch held in memory
            yield from self._answer([request])


class OwnCheckpoint:
    """A checkpoint with its template beside it."""

    def __init__(self, model: str, device: str = "cpu", dtype: WeightsType = "auto", max_length: int = 0) -> None:
        self.generator = Generator(Path(model), device, dtype, max_length)
        self.model = self.generator.model

    def answer(self, requests: Sequence[Request]) -> list[str]:
        """By this project's own prompts.

        Raises:
            ValueError: a request leaves no room for its answer.
        """
        images, prompts = [request.images for request in requests], [request.prompt for request in requests]
        return self.generator.generate(images, prompts, requests[0].max_new_tokens)


class AnyModel:
    """A public model with its own processor and chat template."""

    def __init__(
        self, model: str, device: str = "cpu", dtype: WeightsType = "auto", max_length: int = 0, revision: str = ""
    ) -> None:
        self.processor, self.model = _loaded(model, revision or "main", dtype, device)
        greedy(self.model)
        self.processor.tokenizer.padding_side = "left"
        if self.processor.tokenizer.pad_token is None:
            self.processor.tokenizer.pad_token = self.processor.tokenizer.eos_token
        self.device, self.max_length = device, max_length

    def answer(self, requests: Sequence[Request]) -> list[str]:
        """By the processor's chat template, greedily.

        Raises:
            ValueError: a picture is too large, or a request leaves no room for its answer.
        """
        texts: list[str] = []
        for start in range(0, len(requests), BATCH):
            texts += self._answer(requests[start : start + BATCH])
        return texts

    @torch.inference_mode()
    def _answer(self, requests: Sequence[Request]) -> list[str]:
        inputs = self.processor.apply_chat_template(
            [conversation(request) for request in requests],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        ).to(self.device, self.model.dtype)
        length, limit = inputs["input_ids"].shape[1], requests[0].max_new_tokens
        if self.max_length and length >= self.max_length:
            raise ValueError(f"the prompt takes {length} tokens, its pictures' included, of {self.max_length}")
        limit = min(limit, self.max_length - length) if self.max_length else limit
        output = self.model.generate(**inputs, max_new_tokens=limit, do_sample=False)
        answers = output[:, length:]
        return [text.strip() for text in self.processor.batch_decode(answers, skip_special_tokens=True)]


def _loaded(model: str, revision: str, dtype: WeightsType, device: str) -> tuple[ProcessorMixin, Any]:
    """A public model on its device, and its processor, of code that transformers brings.

    Raises:
        ValueError: the model brings code of its own, which is never run here.
    """
    try:
        processor, loaded = load_processor(model, revision), loading_type(dtype, device)
        found = AutoModelForImageTextToText.from_pretrained(
            model, revision=revision, dtype=loaded, trust_remote_code=False
        )
        return processor, found.to(device).eval()
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise ValueError(
            f"{model} brings Python code of its own, which is not run here. Serve it where that code may run, e.g. "
            f"`vllm serve {model} --trust-remote-code`, and evaluate it there: "
            f"`web2code evaluate {model} --url http://127.0.0.1:8000/v1 --benchmarks ...`"
        ) from None


def conversation(request: Request) -> list[dict]:
    """A request as chat templates take it."""
    pictures = [{"type": "image", "image": decoded(data)} for data in request.images]
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": request.prompt}]}]

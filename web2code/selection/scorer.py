"""Mean negative log-likelihoods of answers under any causal language model or image-text-to-text model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedModel,
)

from web2code.selection.scores import Request


@dataclass(frozen=True)
class Encoded:
    """Token ids of a request; the answer is what follows position `start`."""

    ids: list[int]
    start: int
    extra: dict[str, Any]


class Scorer:
    """A model with its tokenizer, and its processor where it sees pictures.

    Context and answer are encoded apart and joined by token ids, so that the span of an answer is exact whatever it
    holds. The chat template is the model's own; a model without one gets plain text between line breaks.
    """

    def __init__(self, name: str, max_tokens: int, batch_size: int, revision: str = "") -> None:
        self.max_tokens, self.batch_size = max_tokens, batch_size
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.processor = None
        revision = revision or "main"
        try:
            config = AutoConfig.from_pretrained(name, revision=revision)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"no model {name!r} ({reason}): name a folder or a public name") from None
        if type(config) in AutoModelForImageTextToText._model_mapping:
            self.processor = AutoProcessor.from_pretrained(name, revision=revision)
            self.model: PreTrainedModel = AutoModelForImageTextToText.from_pretrained(
                name, revision=revision, dtype="auto"
            )
            self.tokenizer = self.processor.tokenizer
        else:
            self.model = AutoModelForCausalLM.from_pretrained(name, revision=revision, dtype="auto")
            self.tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
        self.model.to(self.device).eval()

    @property
    def sees(self) -> bool:
        """Whether the model takes pictures."""
        return self.processor is not None

    def likelihoods(self, requests: Sequence[tuple[Request, Image.Image | None]]) -> list[float | None]:
        """Mean negative log-likelihood (nats a token) of every answer; None where it does not fit `max_tokens`."""
        encoded = [self._encode(request, image) for request, image in requests]
        order = sorted(
            (i for i, one in enumerate(encoded) if one is not None),
            key=lambda i: len(encoded[i].ids),  # type: ignore[union-attr]
        )
        found: list[float | None] = [None] * len(requests)
        for start in range(0, len(order), self.batch_size):
            some = order[start : start + self.batch_size]
            for i, value in zip(some, self._batch([encoded[i] for i in some]), strict=True):  # type: ignore[misc]
                found[i] = value
        return found

    def _encode(self, request: Request, image: Image.Image | None) -> Encoded | None:
        pictured = image if request.with_picture and self.sees else None
        text = self._context(request.context, pictured is not None)
        extra: dict[str, Any] = {}
        if pictured is not None:
            made = self.processor(images=pictured, text=text, return_tensors="pt", add_special_tokens=False)  # type: ignore[misc]
            context = made.pop("input_ids")[0].tolist()
            made.pop("attention_mask", None)
            extra = dict(made)
        else:
            context = self.tokenizer.encode(text, add_special_tokens=False)
        bos = self.tokenizer.bos_token_id
        if bos is not None and context[:1] != [bos]:
            context = [bos, *context]
        if not context:  # a model without a beginning token: the answer's first token cannot be predicted
            context = [self.tokenizer.eos_token_id]
        answer = self.tokenizer.encode(request.answer, add_special_tokens=False, split_special_tokens=True)
        if not answer or len(context) + len(answer) > self.max_tokens:
            return None
        return Encoded(context + answer, len(context), extra)

    def _context(self, turns: Sequence[str], pictured: bool) -> str:
        if not turns:
            return ""
        marker = getattr(self.processor, "image_token", "<image>") if pictured else ""
        template = getattr(self.processor, "chat_template", None) or self.tokenizer.chat_template
        if not template:
            return "\n".join([*([marker] if marker else []), *turns]) + "\n"
        messages: list[dict[str, Any]] = [
            {"role": ("user", "assistant")[i % 2], "content": self._content(text, pictured and i == 0)}
            for i, text in enumerate(turns)
        ]
        owner: Any = self.processor if getattr(self.processor, "chat_template", None) else self.tokenizer
        return owner.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def _content(self, text: str, pictured: bool) -> Any:
        if not self.sees:
            return text
        return [*([{"type": "image"}] if pictured else []), {"type": "text", "text": text}]

    @torch.inference_mode()
    def _batch(self, encoded: Sequence[Encoded]) -> list[float]:
        width = max(len(one.ids) for one in encoded)
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0
        ids = torch.full((len(encoded), width), pad)
        mask = torch.zeros_like(ids)
        for row, one in enumerate(encoded):
            ids[row, : len(one.ids)] = torch.tensor(one.ids)
            mask[row, : len(one.ids)] = 1
        names = {name for one in encoded for name in one.extra}
        extra = {name: torch.cat([one.extra[name] for one in encoded if name in one.extra]) for name in names}
        inputs = {"input_ids": ids, "attention_mask": mask, **extra}
        logits = self.model(**{name: value.to(self.device) for name, value in inputs.items()}, use_cache=False).logits
        return [
            float(
                functional.cross_entropy(
                    logits[row, one.start - 1 : len(one.ids) - 1].float(),
                    torch.tensor(one.ids[one.start :], device=logits.device),
                )
            )
            for row, one in enumerate(encoded)
        ]

"""What a language model made from scratch starts with: a tokenizer's texts, and some steps on text alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from web2code.modelling.ordinary_text import encode
from web2code.modelling.prompts import about_image, template_text
from web2code.modelling.templates import CODE_PROMPT, Template

WARMUP_BATCH = 64
WARMUP_LENGTH = 128
# The same on every machine, so that the same sums are made in the same order.
WARMUP_THREADS = 2
WARMUP_LEARNING_RATE = 3e-3


def tokenizer_texts(rows: Iterable[dict[str, Any]], template: Template) -> Iterator[str]:
    """The text that the tokenizer's merges are learned from."""
    for row in rows:
        yield row["html"]
        yield row["caption"] + "\n"
        yield template_text(template, about_image((CODE_PROMPT, None)))
        for item in row["questions"]:
            yield template_text(template, about_image((item["question"], item["answer"])))


def warm_up(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[str],
    steps: int,
    seed: int,
    precision: Literal["bf16", "fp32"],
    on_step: Any = lambda step, loss: None,
) -> list[float]:
    """Teach the language model the text of the training pages, without pictures; returns the loss of every step.

    It stands for the pre-trained language model of a full-size recipe.
    """
    model.set_attn_implementation("eager")  # the fastest on CPUs
    torch.set_num_threads(WARMUP_THREADS)
    language, head = model.model.language_model, model.lm_head
    optimizer = torch.optim.AdamW(language.parameters(), lr=WARMUP_LEARNING_RATE, weight_decay=0.01)
    rng = np.random.default_rng(seed)
    rows = [[tokenizer.bos_token_id, *encode(tokenizer, text), tokenizer.eos_token_id] for text in texts]
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = WARMUP_LEARNING_RATE * min(1.0, (step + 1) / 10, (steps - step) / steps * 2)
        chosen = [_piece(rows[i], rng) for i in rng.integers(len(rows), size=WARMUP_BATCH)]
        width = max(map(len, chosen))
        ids = torch.full((WARMUP_BATCH, width), tokenizer.pad_token_id)
        for i, row in enumerate(chosen):
            ids[i, : len(row)] = torch.tensor(row)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            hidden = language(input_ids=ids, use_cache=False).last_hidden_state
            real = ids[:, 1:] != tokenizer.pad_token_id
            loss = functional.cross_entropy(head(hidden[:, :-1][real]).float(), ids[:, 1:][real])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(language.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        on_step(step + 1, losses[-1])
    return losses


def _piece(tokens: list[int], rng: np.random.Generator) -> list[int]:
    """Up to `WARMUP_LENGTH` tokens from somewhere in a text."""
    start = int(rng.integers(len(tokens) - WARMUP_LENGTH + 1)) if len(tokens) > WARMUP_LENGTH else 0
    return tokens[start : start + WARMUP_LENGTH]

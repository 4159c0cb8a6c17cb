"""One training stage under DeepSpeed, on whatever process group is already there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import deepspeed
import numpy as np
import torch
import torch.distributed as dist
from deepspeed.utils import safe_get_full_fp32_param
from transformers import LlavaForConditionalGeneration

from web2code.config import StageConfig
from web2code.training.arrays import Arrays
from web2code.training.batches import collate
from web2code.training.deepspeed_config import deepspeed_config
from web2code.training.loss import AnswerLoss
from web2code.training.order import Order
from web2code.training.trainable import parameter_groups, set_trainable

# A shorter memory of squared gradients than the default 0.999 suits runs of a few hundred steps.
ADAM_BETAS = (0.9, 0.95)


@dataclass
class History:
    """What a stage of `num_steps` steps has been through, saved with its checkpoints.

    Losses are nats a token, averaged over all workers.
    """

    num_steps: int
    losses: list[float]
    learning_rates: list[float]
    seconds: float = 0.0
    first_step_at: float = 0.0


@dataclass(frozen=True)
class Callbacks:
    """What the surroundings of a stage are told, and may do."""

    on_step: Callable[[int, History], None]
    save: Callable[[deepspeed.DeepSpeedEngine, int, History], None]
    restore: Callable[[deepspeed.DeepSpeedEngine], tuple[int, History] | None]


def train_stage(
    model: LlavaForConditionalGeneration, stage: StageConfig, arrays: Arrays, seed: int, callbacks: Callbacks
) -> tuple[deepspeed.DeepSpeedEngine, History]:
    """Train to the stage's last step, from the newest checkpoint if there is one.

    Raises:
        FloatingPointError: the loss is not a finite number; the last checkpoint is kept.
    """
    rank, world_size = dist.get_rank(), dist.get_world_size()
    engine = _build_engine(model, stage, world_size)
    order = Order(arrays, stage.template == "plain", stage.question_share, stage.global_batch, seed)
    num_steps = stage.num_steps(order.batches_per_epoch)
    start, history = callbacks.restore(engine) or (0, History(num_steps, [], []))
    began = time.perf_counter() - history.seconds
    for step in range(start, num_steps):
        rate = learning_rate(stage, step, num_steps)
        for group in engine.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        loss = _step(engine, stage, arrays, order.batch(step), rank, world_size)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"{stage.name}: the loss of step {step + 1} is {loss}; lower {stage.name}.learning_rate (now {rate:g})"
            )
        history.losses.append(loss)
        history.learning_rates.append(rate)
        history.first_step_at = history.first_step_at or time.time()
        history.seconds = time.perf_counter() - began
        callbacks.on_step(step + 1, history)
        if (step + 1) % stage.checkpoint_every == 0 and step + 1 < num_steps:
            callbacks.save(engine, step + 1, history)
    return engine, history


def learning_rate(stage: StageConfig, step: int, num_steps: int) -> float:
    """Linear warm-up, then a cosine down to zero, as in LLaVA's recipes; `step` counts from 0."""
    warmup = max(1, round(num_steps * stage.warmup_ratio))
    if step < warmup:
        return stage.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, num_steps - warmup)
    return stage.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def trained_weights(engine: deepspeed.DeepSpeedEngine) -> dict[str, torch.Tensor]:
    """The trained parameters in float32, gathered from all workers; every worker must call this."""
    return {
        name.removeprefix("llava."): safe_get_full_fp32_param(parameter).detach().cpu()
        for name, parameter in engine.module.named_parameters()
        if parameter.requires_grad
    }


def save_weights(source: Path, weights: dict[str, torch.Tensor]) -> LlavaForConditionalGeneration:
    """The model of `source` with `weights` in place of its own."""
    model = LlavaForConditionalGeneration.from_pretrained(source, dtype=torch.float32)
    unexpected = model.load_state_dict(weights, strict=False).unexpected_keys
    assert not unexpected, unexpected
    return model


def _build_engine(
    model: LlavaForConditionalGeneration, stage: StageConfig, world_size: int
) -> deepspeed.DeepSpeedEngine:
    set_trainable(model, stage.trainable)
    model.set_attn_implementation(stage.attention)
    optimizer = torch.optim.AdamW(
        parameter_groups(model, stage), lr=stage.learning_rate, betas=ADAM_BETAS, weight_decay=stage.weight_decay
    )
    engine, *_ = deepspeed.initialize(
        model=AnswerLoss(model), optimizer=optimizer, config=deepspeed_config(stage, world_size)
    )
    return engine


def _step(
    engine: deepspeed.DeepSpeedEngine,
    stage: StageConfig,
    arrays: Arrays,
    batch: np.ndarray,
    rank: int,
    world_size: int,
) -> float:
    dtype = torch.bfloat16 if stage.precision == "bf16" else torch.float32
    accumulation = engine.gradient_accumulation_steps()
    # DeepSpeed averages over workers and accumulation steps; this turns that average into the sum of the global batch.
    num_tokens = float(arrays.label_counts[batch].sum()) / (world_size * accumulation)
    pad = engine.module.llava.config.text_config.pad_token_id
    total = torch.zeros(1)
    for micro in np.split(batch[rank::world_size], accumulation):
        tensors = collate(arrays, micro, pad, dtype)
        loss = engine(**{name: value.to(engine.device) for name, value in tensors.items()}, num_tokens=num_tokens)
        engine.backward(loss)
        engine.step()
        total += loss.detach().float().cpu()
    # All workers see the same loss, so that all take the same decision about it.
    device_total = (total / (world_size * accumulation)).to(engine.device)
    dist.all_reduce(device_total)
    return float(device_total)

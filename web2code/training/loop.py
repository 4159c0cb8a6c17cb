"""One training stage under DeepSpeed, on whatever process group is already there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import deepspeed
import numpy as np
import torch
import torch.distributed as dist
from deepspeed.utils import safe_get_full_fp32_param
from transformers import LlavaForConditionalGeneration

from web2code.config import StageConfig
from web2code.modelling.attention import VARLEN, register_varlen
from web2code.training.arrays import Arrays
from web2code.training.batches import Batch, collate, collate_packed
from web2code.training.checkpoint import Checkpoints
from web2code.training.deepspeed_config import accumulation_steps, deepspeed_config
from web2code.training.history import History
from web2code.training.loss import AnswerLoss
from web2code.training.order import Order
from web2code.training.packing import lay_out
from web2code.training.trainable import parameter_groups, set_trainable

# A shorter memory of squared gradients than the default 0.999 suits runs of a few hundred steps.
ADAM_BETAS = (0.9, 0.95)


def train_stage(
    model: LlavaForConditionalGeneration,
    stage: StageConfig,
    arrays: Arrays,
    seed: int,
    checkpoint_folder: Path,
    on_step: Callable[[int, History], None] = lambda step, history: None,
) -> tuple[deepspeed.DeepSpeedEngine, History]:
    """Train to the stage's last step, from the newest checkpoint if there is one.

    `on_step` is called after every step with the number of finished steps.

    Raises:
        FloatingPointError: the loss is not a finite number; the last checkpoint is kept.
    """
    engine = _build_engine(model, stage)
    order = Order(arrays, stage.template == "plain", stage.question_share, stage.global_batch, seed, stage.held_out)
    num_steps = stage.num_steps(order.batches_per_epoch)
    checkpoints = Checkpoints(checkpoint_folder, engine)
    start, history = checkpoints.restore() or (0, History(num_steps, [], []))
    history.resumed_from_step = start
    if history.num_workers[-1:] != [dist.get_world_size()]:
        history.num_workers.append(dist.get_world_size())
    began = time.perf_counter() - history.seconds
    for step in range(start, num_steps):
        rate = learning_rate(stage, step, num_steps)
        for group in engine.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        loss = _step(engine, stage, arrays, order.batch(step), checkpoints)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"{stage.name}: the loss of step {step + 1} is {loss}; lower {stage.name}.learning_rate (now {rate:g})"
            )
        history.losses.append(loss)
        history.learning_rates.append(rate)
        history.first_step_at = history.first_step_at or time.time()
        history.seconds = time.perf_counter() - began
        on_step(step + 1, history)
        if stage.held_out and ((step + 1) % stage.checkpoint_every == 0 or step + 1 == num_steps):
            history.held_out.append((step + 1, held_out_loss(engine, stage, arrays, order.held_out)))
        if (step + 1) % stage.checkpoint_every == 0 and step + 1 < num_steps:
            checkpoints.save(step + 1, history)
    checkpoints.finish()
    if stage.keep == "best" and history.best_step() != num_steps:
        checkpoints.load_step(history.best_step())
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


def _build_engine(model: LlavaForConditionalGeneration, stage: StageConfig) -> deepspeed.DeepSpeedEngine:
    set_trainable(model, stage.trainable)
    register_varlen()
    tower_attention = "sdpa" if stage.attention == VARLEN else stage.attention
    model.set_attn_implementation({"text_config": stage.attention, "vision_config": tower_attention})
    if stage.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    optimizer = torch.optim.AdamW(
        parameter_groups(model, stage), lr=stage.learning_rate, betas=ADAM_BETAS, weight_decay=stage.weight_decay
    )
    engine, *_ = deepspeed.initialize(
        model=AnswerLoss(model), optimizer=optimizer, config=deepspeed_config(stage, dist.get_world_size())
    )
    engine.train()  # models are loaded for use, without dropout and gradient checkpointing
    return engine


def _step(
    engine: deepspeed.DeepSpeedEngine,
    stage: StageConfig,
    arrays: Arrays,
    batch: np.ndarray,
    checkpoints: Checkpoints,
) -> float:
    world_size = dist.get_world_size()
    # DeepSpeed averages over workers; this turns that average into the sum of the global batch.
    num_tokens = float(arrays.label_counts[batch].sum()) / world_size
    micro_steps = list(zip(*shares(stage, arrays, batch, world_size), strict=True))
    total = torch.zeros(1)
    for number, of_all_workers in enumerate(micro_steps, start=1):
        engine.set_gradient_accumulation_boundary(number == len(micro_steps))
        tensors = _micro_batch(engine, stage, arrays, of_all_workers)
        on_device = {name: value.to(engine.device) if isinstance(value, torch.Tensor) else value
                     for name, value in tensors.items()}  # fmt: skip
        loss = engine(**on_device, num_tokens=num_tokens)
        engine.backward(loss)
        total += loss.detach().float().cpu()
    checkpoints.before_update()
    engine.step()
    # All workers see the same loss, so that all take the same decision about it.
    device_total = (total / world_size).to(engine.device)
    dist.all_reduce(device_total)
    return float(device_total)


@torch.no_grad()
def held_out_loss(engine: deepspeed.DeepSpeedEngine, stage: StageConfig, arrays: Arrays, held_out: np.ndarray) -> float:
    """Nats a token of samples that are as many as some global batches; every worker must call this."""
    num_tokens = float(arrays.label_counts[held_out].sum())
    total = torch.zeros(1)
    engine.eval()
    for batch in held_out.reshape(-1, stage.global_batch):
        for of_all_workers in zip(*shares(stage, arrays, batch, dist.get_world_size()), strict=True):
            tensors = _micro_batch(engine, stage, arrays, of_all_workers)
            on_device = {name: value.to(engine.device) if isinstance(value, torch.Tensor) else value
                         for name, value in tensors.items()}  # fmt: skip
            total += engine(**on_device, num_tokens=num_tokens).float().cpu()
    engine.train()
    device_total = total.to(engine.device)
    dist.all_reduce(device_total)
    return float(device_total)


def _micro_batch(
    engine: deepspeed.DeepSpeedEngine,
    stage: StageConfig,
    arrays: Arrays,
    of_all_workers: tuple[np.ndarray, ...],
) -> Batch:
    dtype = torch.bfloat16 if stage.precision == "bf16" else torch.float32
    pad = engine.module.llava.config.text_config.pad_token_id
    mine = of_all_workers[dist.get_rank()]
    tensors = collate_packed(arrays, mine, dtype) if stage.pack_tokens else collate(arrays, mine, pad, dtype)
    # Under ZeRO-3 all workers gather the tower's weights together, so that one without a picture needs a stand-in.
    somewhere = (arrays.pages[np.concatenate(of_all_workers)] >= 0).any()
    if stage.zero_stage == 3 and somewhere and not tensors["num_images"]:
        tensors["pixel_values"] = torch.zeros(1, *tensors["pixel_values"].shape[1:], dtype=dtype)
    return tensors


def shares(stage: StageConfig, arrays: Arrays, batch: np.ndarray, world_size: int) -> list[list[np.ndarray]]:
    """Which samples of a global batch each worker holds in each of its micro steps, which are as many for all."""
    if stage.pack_tokens:
        packs = lay_out(arrays.lengths[batch], world_size, stage.pack_tokens)
        return [[batch[pack] for pack in of_worker] for of_worker in packs]
    accumulation = accumulation_steps(stage, world_size)[1]
    return [np.split(batch[worker::world_size], accumulation) for worker in range(world_size)]

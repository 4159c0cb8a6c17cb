"""One training stage under DeepSpeed, on whatever process group is already there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import deepspeed
import numpy as np
import torch
import torch.distributed as dist
from deepspeed.accelerator import get_accelerator
from deepspeed.utils import safe_get_full_fp32_param
from transformers import PreTrainedModel

from web2code.config import StageConfig
from web2code.modelling.attention import VARLEN, register_varlen
from web2code.modelling.llava import load_model
from web2code.training.arrays import Arrays
from web2code.training.batches import Batch
from web2code.training.checkpoint import Checkpoints
from web2code.training.deepspeed_config import deepspeed_config
from web2code.training.gradient_checkpointing import checkpoint_layers
from web2code.training.guard import enter, is_refused
from web2code.training.history import History
from web2code.training.loader import Step, ahead, step_of, steps
from web2code.training.loss import AnswerLoss
from web2code.training.measurements import Meter, stage_meter
from web2code.training.order import Order
from web2code.training.placement import place
from web2code.training.trainable import parameter_groups, set_trainable
from web2code.training.uncompiled import leave_uncompiled
from web2code.training.watchdog import Phase, Watchdog

leave_uncompiled()

BETA1 = 0.9
# Seconds, by the first worker's clock, until it is asked again whether a machine leaves: all workers wait for that.
ASKED_EVERY = 5.0


def train_stage(
    model: PreTrainedModel,
    stage: StageConfig,
    arrays: Arrays,
    seed: int,
    checkpoint_folder: Path,
    on_step: Callable[[int, History], None] = lambda step, history: None,
    watchdog: Watchdog | None = None,
    is_leaving: Callable[[], bool] = lambda: False,
    identity: str = "",
    kept_checkpoints: int = 2,
) -> tuple[deepspeed.DeepSpeedEngine, History]:
    """Train to the stage's last step, from the newest checkpoint if there is one, which has to be of this `identity`.

    `on_step` is called after every step with the number of finished steps. When `is_leaving`, which all workers ask
    together every few seconds, is true, on all alike, a machine is about to go, and a checkpoint is saved.
    The last step is saved as well, so that what follows it can be repeated without it. When this returns, the
    `watchdog` expects that the weights are gathered.

    Raises:
        ValueError: a checkpoint is of another identity.
        FloatingPointError: a loss or gradient that is not finite, or a spike, where `stage.guard` says to stop.
    """
    set_trainable(model, stage.trainable)
    meter = stage_meter(model, arrays, stage.precision)
    engine = _build_engine(model, stage)
    order = Order(arrays, stage, seed)
    num_steps = stage.num_steps(order.batches_per_epoch)
    checkpoints = Checkpoints(checkpoint_folder, engine, identity, kept_checkpoints)
    start, history = checkpoints.restore() or (0, History(num_steps, [], []))
    history.resumed_from_step = start
    if history.num_workers[-1:] != [dist.get_world_size()]:
        history.num_workers.append(dist.get_world_size())
    watchdog, saved_at, asked_at = watchdog or Watchdog(), 0.0, 0.0
    began = time.perf_counter() - history.seconds
    pad_token = padding_of(model)
    shares = ahead(steps(arrays, stage, order, start, num_steps, pad_token, dist.get_rank(), dist.get_world_size()))
    for step in range(start, num_steps):
        watchdog.begin(step + 1)
        meter.begin()
        with meter.waiting():
            share = next(shares)
        rate = learning_rate(stage, step, num_steps)
        for group in engine.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        # What dropout draws depends on the step and the worker, not on where training was interrupted.
        torch.manual_seed((seed * num_steps + step) * dist.get_world_size() + dist.get_rank())
        loss = _step(engine, share, checkpoints, meter, partial(is_refused, stage, history))
        warning = enter(stage, history, loss, rate, engine.was_step_applied())
        if warning and dist.get_rank() == 0:
            print(f"warning: {warning}", flush=True)
        history.metrics.append(meter.end(share.samples, rate, engine.get_global_grad_norm()).metrics())
        history.first_step_at = history.first_step_at or time.time()
        history.seconds = time.perf_counter() - began
        on_step(step + 1, history)
        is_late = meter.clock - saved_at >= 60 * stage.checkpoint_minutes
        if is_asked := meter.clock - asked_at >= ASKED_EVERY:
            asked_at = meter.clock
        is_due = (is_asked and is_leaving()) or is_late or (step + 1) % stage.checkpoint_every == 0
        is_last = step + 1 == num_steps
        if stage.held_out and (is_last or (step + 1) % stage.checkpoint_every == 0):
            watchdog.begin(step + 1, Phase.HELD_OUT)
            history.held_out.append((step + 1, held_out_loss(engine, stage, arrays, order.held_out)))
        if is_due or is_last:
            watchdog.begin(step + 1, Phase.CHECKPOINT)
            checkpoints.save(step + 1, history)
            saved_at = meter.clock
    checkpoints.finish()
    watchdog.begin(num_steps, Phase.WEIGHTS)
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


def padding_of(model: PreTrainedModel) -> int:
    """What fills the rows of a batch: at the right, where nothing that is learned sees it, any text will do."""
    return model.config.get_text_config().pad_token_id or 0


def trained_weights(engine: deepspeed.DeepSpeedEngine) -> dict[str, torch.Tensor]:
    """The trained parameters in float32, gathered from all workers by the first, which alone keeps them.

    Every worker must call this; all but the first get nothing.
    """
    weights = {}
    for name, parameter in engine.module.named_parameters():
        if parameter.requires_grad:
            gathered = safe_get_full_fp32_param(parameter)
            # Without ZeRO a parameter in float32 is its own master.
            whole = parameter if gathered is None else gathered
            if dist.get_rank() == 0:
                weights[name.removeprefix("llava.")] = whole.detach().cpu()
    return weights


def save_weights(source: Path, weights: dict[str, torch.Tensor]) -> PreTrainedModel:
    """The model of `source` with `weights` in place of its own."""
    model = load_model(source)
    unexpected = model.load_state_dict(weights, strict=False).unexpected_keys
    assert not unexpected, unexpected
    return model


def _build_engine(model: PreTrainedModel, stage: StageConfig) -> deepspeed.DeepSpeedEngine:
    register_varlen()
    tower_attention = "sdpa" if stage.attention == VARLEN else stage.attention
    model.set_attn_implementation({"text_config": stage.attention, "vision_config": tower_attention})
    if stage.gradient_checkpointing:
        checkpoint_layers(model)
    optimizer = torch.optim.AdamW(
        parameter_groups(model, stage),
        lr=stage.learning_rate,
        betas=(BETA1, stage.beta2),
        fused=stage.offload or None,  # in main memory several times as fast
    )
    overlap = not get_accelerator().is_synchronized_device()
    config = deepspeed_config(stage, dist.get_world_size(), overlap)
    place(model, stage, config)
    engine, *_ = deepspeed.initialize(model=AnswerLoss(model), optimizer=optimizer, config=config)
    engine.train()  # models are loaded for use, without dropout and gradient checkpointing
    return engine


def _step(
    engine: deepspeed.DeepSpeedEngine,
    share: Step,
    checkpoints: Checkpoints,
    meter: Meter,
    is_refused: Callable[[float], bool],
) -> float:
    world_size = dist.get_world_size()
    # DeepSpeed averages over workers; this turns that average into the sum of the global batch.
    num_tokens = share.num_tokens / world_size
    total = torch.zeros(1, device=engine.device)
    for number, (samples, tensors) in enumerate(share.micro_batches, start=1):
        engine.set_gradient_accumulation_boundary(number == len(share.micro_batches))
        loss = engine(**on_device(engine, tensors), num_tokens=num_tokens)
        meter.add(samples, tensors, engine.module.token_losses)
        total += loss.detach().float()
        if number == len(share.micro_batches):
            # All workers see the same loss, so that all take the same decision about it.
            of_all = meter.reduce((total / world_size).cpu(), engine.device)
            if is_refused(of_all):
                loss = loss * math.nan  # DeepSpeed leaves out the update of a gradient that is not finite
        engine.backward(loss)
    checkpoints.before_update()
    engine.step()
    return of_all


def on_device(engine: deepspeed.DeepSpeedEngine, tensors: Batch) -> Batch:
    """A micro batch where the model is."""
    return {name: value.to(engine.device) if isinstance(value, torch.Tensor) else value
            for name, value in tensors.items()}  # fmt: skip


@torch.no_grad()
def held_out_loss(engine: deepspeed.DeepSpeedEngine, stage: StageConfig, arrays: Arrays, held_out: np.ndarray) -> float:
    """Nats a token of samples that are as many as some global batches; every worker must call this."""
    num_tokens = float(arrays.label_counts[held_out].sum())
    pad_token = padding_of(engine.module.llava)
    total = torch.zeros(1)
    engine.eval()
    for batch in held_out.reshape(-1, stage.global_batch):
        for _, tensors in step_of(
            arrays, stage, batch, pad_token, dist.get_rank(), dist.get_world_size()
        ).micro_batches:
            total += engine(**on_device(engine, tensors), num_tokens=num_tokens).float().cpu()
    engine.train()
    device_total = total.to(engine.device)
    dist.all_reduce(device_total)
    return float(device_total)

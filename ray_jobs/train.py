"""The job that trains one stage with Ray Train and DeepSpeed: `python -m ray_jobs.train JOB.json`."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import ray

from ray_jobs.attempts import WORKERS, endings, fence, preemption_notice, train_until_done
from ray_jobs.imports import loading, unused
from ray_jobs.metrics import StepGauges
from ray_jobs.room import require_room, worker_resources
from ray_jobs.unfinished import note_identity, unfinished_others
from web2code.artifacts import publish, read_record
from web2code.config import StageRecord, TrainJob
from web2code.plan import require_four_bits
from web2code.progress import report
from web2code.training.manifests import require_own

# Set by whoever submits the job; the time to the first step counts from there.
SUBMITTED_AT = "WEB2CODE_SUBMITTED_AT"
# How long Ray Train waits until all workers have a place.
START_TIMEOUT = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
# Language models of the recipes, which train with any attention: to try one takes transformers, and seconds.
KNOWN_LANGUAGE_MODELS = ("crystalcoder", "llama", "phi3")


def main(job: TrainJob) -> StageRecord:
    """Train the stage, or go on with it; returns the committed record.

    Raises:
        ValueError: a checkpoint among the stage's is of another training, or the cluster has no room for the workers.
        RuntimeError: training cannot go on.
    """
    if done := read_record(job.output(), StageRecord):
        return done
    require_four_bits(job.lora)
    require_own(checkpoint_folder(job), job.fingerprint())
    require_attention(job)
    resources = worker_resources(job.where)
    require_room(job.where.num_workers, resources, "workers", job.where.start_seconds)
    with loading():
        from ray.train import FailureConfig, RunConfig, ScalingConfig

        from ray_jobs.process_group import ProcessGroup
        from ray_jobs.trainer import Trainer

    gpu = job.where.gpus_per_worker > 0
    os.environ[START_TIMEOUT] = str(job.where.start_seconds)
    started = float(os.environ.get(SUBMITTED_AT, time.time()))
    trainer = partial(
        Trainer,
        train_worker,
        train_loop_config={"job": job.model_dump_json(), "started": started},
        backend_config=ProcessGroup("nccl" if gpu else "gloo"),
        scaling_config=ScalingConfig(num_workers=job.where.num_workers, use_gpu=gpu, resources_per_worker=resources),
        run_config=RunConfig(
            name=job.fingerprint(),
            storage_path=f"{job.where.home}/ray_train",
            failure_config=FailureConfig(max_failures=0, max_preemption_failures=0, controller_failure_limit=0),
        ),
    )
    for other in unfinished_others(job, checkpoint_folder(job)):
        print(f"warning: {other}", flush=True)
    note_identity(job, checkpoint_folder(job))
    train_until_done(lambda: trainer().fit(), job, checkpoint_folder(job))
    record = read_record(job.output(), StageRecord)
    assert record is not None, "the workers finished without a committed stage"
    shutil.rmtree(checkpoint_folder(job), ignore_errors=True)
    return record


def require_attention(job: TrainJob) -> None:
    """Nothing, where the model that was prepared is trained rightly with the stage's attention and packing.

    Raises:
        ValueError: it is not, with what to set.
    """
    base = Path(job.where.home) / "artifacts" / "prepared" / job.prepared / "base"
    config = json.loads((base / "config.json").read_text())
    is_llava = config["model_type"] == "llava"
    packed = job.stage.pack_tokens > 0
    is_settled = config["text_config"]["model_type"] in KNOWN_LANGUAGE_MODELS if is_llava else not packed
    if is_settled:
        return
    from transformers import AutoConfig

    from web2code.modelling.image_text_packs import require_packs
    from web2code.modelling.language_models import require_stages

    if is_llava:
        require_stages(str(base), AutoConfig.from_pretrained(base).text_config, [job.stage])
    else:
        require_packs(str(base), AutoConfig.from_pretrained(base), job.stage)


def checkpoint_folder(job: TrainJob) -> Path:
    """Where the checkpoints of a stage lie until it is finished."""
    return Path(job.where.home) / "checkpoints" / job.fingerprint()


def train_worker(config: dict[str, Any]) -> None:
    """What each training worker runs."""
    job = TrainJob.model_validate_json(config["job"])
    with loading(*unused(job.lora)):
        import ray.train.torch
        import torch  # heavy: only workers need it

        from web2code.estimate.devices import require_precision
        from web2code.modelling.adapters import adapt, merge_adapters, save_adapters
        from web2code.modelling.base import load_reader, load_template, save_checkpoint
        from web2code.modelling.llava import load_model
        from web2code.training.arrays import load_arrays
        from web2code.training.loop import save_weights, train_stage, trained_weights
        from web2code.training.measurements import describe
        from web2code.training.watchdog import Phase, Watchdog

    home, rank = Path(job.where.home), ray.train.get_context().get_world_rank()
    prepared = home / "artifacts" / "prepared" / job.prepared
    source = home / "artifacts" / "stage" / job.previous / "model" if job.previous else prepared / "base"
    if (device := ray.train.torch.get_device()).type == "cuda":
        torch.cuda.set_device(device)
        require_precision(job.stage, torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device))
    gauges = StepGauges(job.stage.name, job.fingerprint())
    folder = checkpoint_folder(job)
    check_fence = fence(folder)

    def on_step(step: int, history: Any) -> None:
        check_fence()
        if rank == 0:
            metrics = history.metrics[-1]
            report(job.stage.name, step, history.num_steps, describe(metrics), metrics)
            gauges.show(step, history.num_steps, metrics)

    with Watchdog(folder / WORKERS, rank, job.where.stall_seconds) as watchdog:
        watchdog.begin(None, Phase.LOAD)
        torch.manual_seed(job.seed)
        model = load_model(source)
        dtype = model.dtype
        if job.lora:
            adapt(model, job.lora, job.seed, device)
        arrays = load_arrays(prepared)
        engine, history = train_stage(
            model, job.stage, arrays, job.seed, folder, on_step, watchdog, preemption_notice(folder),
            identity=job.fingerprint(), kept_checkpoints=job.where.kept_checkpoints,
        )  # fmt: skip
        weights = trained_weights(engine)
        if rank == 0:
            watchdog.begin(history.num_steps, Phase.MODEL)
            check_fence()
            out = Path(job.output())
            reader = load_reader(source)
            if job.lora:
                base = load_model(source, torch.float32)
                save_adapters(out / "adapter", base, job.lora, weights)
                trained = merge_adapters(base, job.lora, weights, engine.device).to(dtype)
            else:
                trained = save_weights(source, weights)
            save_checkpoint(out / "model", trained, reader, load_template(prepared / "base"))
            publish(out, job.output(), record_of(job, history, config["started"], weights))


def record_of(job: TrainJob, history: Any, started: float, weights: dict[str, Any]) -> StageRecord:
    """How the stage went."""
    ended = [ending.kind for ending in endings(checkpoint_folder(job))]
    return StageRecord(
        fingerprint=job.fingerprint(),
        name=job.stage.name,
        zero_stage=job.stage.zero_stage,
        steps=len(history.losses),
        first_loss=history.losses[0],
        last_loss=sum(history.losses[-10:]) / len(history.losses[-10:]),
        seconds_to_first_step=history.first_step_at - started,
        seconds=time.time() - started,
        resumed_from_step=history.resumed_from_step,
        num_workers=tuple(history.num_workers),
        failures=len(ended) - ended.count("preemption"),
        preemptions=ended.count("preemption"),
        skipped=tuple(history.skipped),
        spikes=tuple(history.spikes),
        num_trained_parameters=sum(tensor.numel() for tensor in weights.values()),
        samples_per_second=job.stage.global_batch * len(history.losses) / history.seconds,
        losses=tuple(history.losses),
        learning_rates=tuple(history.learning_rates),
        held_out=tuple(history.held_out),
        kept_step=history.best_step() if job.stage.keep == "best" else len(history.losses),
        measurements=history.measurements(),
        prepared=job.prepared,
        previous=job.previous,
    )


if __name__ == "__main__":
    ray.init(include_dashboard=False)
    main(TrainJob.model_validate_json(Path(sys.argv[1]).read_text()))

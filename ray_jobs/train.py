"""The job that trains one stage with Ray Train and DeepSpeed: `python -m ray_jobs.train JOB.json`."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import ray

from ray_jobs.attempts import WORKERS, endings, fence, preemption_notice, train_until_done
from ray_jobs.metrics import StepGauges
from ray_jobs.unfinished import note_identity, unfinished_others
from web2code.artifacts import publish, read_record
from web2code.config import LoraConfig, StageRecord, TrainJob
from web2code.plan import require_four_bits
from web2code.progress import report

# Set by whoever submits the job; the time to the first step counts from there.
SUBMITTED_AT = "WEB2CODE_SUBMITTED_AT"
# transformers and DeepSpeed import these where they are installed, in three seconds, for what training does not use.
UNUSED = ("sklearn", "scipy", "mlflow")
# And these, in most of another second, for adapters alone; and these, in one more, for adapters in four bits.
FOR_ADAPTERS, FOR_FOUR_BITS = ("accelerate", "peft"), ("bitsandbytes",)


def main(job: TrainJob) -> StageRecord:
    """Train the stage, or go on with it; returns the committed record."""
    if done := read_record(job.output(), StageRecord):
        return done
    require_four_bits(job.lora)
    with loading():
        from ray.train import FailureConfig, RunConfig, ScalingConfig

        from ray_jobs.process_group import ProcessGroup
        from ray_jobs.trainer import Trainer

    gpu = job.where.gpus_per_worker > 0
    resources = {"CPU": job.where.cpus_per_worker} | ({"GPU": job.where.gpus_per_worker} if gpu else {})
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
            failure_config=FailureConfig(max_failures=0, max_preemption_failures=0),
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


def checkpoint_folder(job: TrainJob) -> Path:
    """Where the checkpoints of a stage lie until it is finished."""
    return Path(job.where.home) / "checkpoints" / job.fingerprint()


@contextmanager
def loading() -> Iterator[None]:
    """Import modules without looking for garbage: they make a million objects, and none of them is."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def import_muon() -> None:
    """Import DeepSpeed's Muon, which every engine asks for, without what would compile it: it takes a second."""
    from deepspeed.runtime import compiler

    compiled = compiler.compile
    compiler.compile = lambda *args, **kwargs: lambda function: function
    try:
        import deepspeed.runtime.zero.muon.muon_optimizer  # noqa: F401
    finally:
        compiler.compile = compiled


def unused(lora: LoraConfig | None) -> tuple[str, ...]:
    """What a worker goes without."""
    return UNUSED + (() if lora else FOR_ADAPTERS) + (() if lora and lora.four_bit else FOR_FOUR_BITS)


def train_worker(config: dict[str, Any]) -> None:
    """What each training worker runs."""
    job = TrainJob.model_validate_json(config["job"])
    for name in unused(job.lora):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    with loading():
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

        import_muon()
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
    ray.init()
    main(TrainJob.model_validate_json(Path(sys.argv[1]).read_text()))

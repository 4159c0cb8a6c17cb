"""From the submission of a training job to its first step, beside Ray Train's trainer as it comes.

Needs a finished `make demo`, whose two stages are trained again for a few steps.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.arms import ROUNDS, Arm, report
from tasks.jobs import submit
from web2code.artifacts import read_record
from web2code.config import StageRecord, TrainJob, Where
from web2code.plan import home_folder
from web2code.services import ONE_MACHINE, ray_environment, start_ray, stop_service, wait_until_up

STEPS = 3
MODULES = {"ours": "ray_jobs.train", "peer": "benchmarks.first_step"}
NAMES = {"peer": "Ray Train's trainer as it comes", "ours": "`ray_jobs.train`"}


def newest(name: str) -> StageRecord:
    """A stage of the demo."""
    found = sorted((home_folder() / "artifacts" / "stage").glob("*/record.json"), key=lambda path: path.stat().st_mtime)
    records = [StageRecord.model_validate_json(path.read_text()) for path in reversed(found)]
    if record := next((record for record in records if record.name == name), None):
        return record
    raise SystemExit(f"there is no trained stage {name!r}: run `make demo` first")


def short(record: StageRecord, home: Path, seed: int) -> TrainJob:
    """The job that made a record, for a few steps; another seed makes it another job."""
    (path,) = (home_folder() / "jobs").glob(f"stage-{record.fingerprint}-*.json")
    job = TrainJob.model_validate_json(path.read_text())
    where = Where.model_validate(job.where.model_dump() | {"home": str(home)})
    return job.model_copy(update={"where": where, "seed": seed, "stage": job.stage.model_copy(update={"steps": STEPS})})


def seconds(url: str, module: str, job: TrainJob) -> tuple[float, tuple[float, ...]]:
    """From submission to the first step, and the losses."""
    client, submission = submit(url, module, job, is_own=True)
    while not client.get_job_status(submission).is_terminal():
        time.sleep(0.5)
    record = read_record(job.output(), StageRecord)
    assert record, client.get_job_logs(submission)
    return record.seconds_to_first_step, record.losses


def as_it_comes(specification: str) -> None:
    """Train with Ray Train's own trainer: a controller that is an actor, polls every two seconds, all its helpers."""
    for name in ONE_MACHINE:
        if name.startswith("RAY_TRAIN"):
            os.environ.pop(name, None)
    import ray
    from ray.train.torch import TorchConfig, TorchTrainer

    import ray_jobs.trainer
    from ray_jobs.train import main as train

    def trainer(work, backend_config, **options):
        return TorchTrainer(work, torch_config=TorchConfig(backend=backend_config.name), **options)

    ray_jobs.trainer.Trainer = trainer  # type: ignore[misc, assignment]
    ray.init()
    train(TrainJob.model_validate_json(Path(specification).read_text()))


def main() -> None:
    """Both ways in turns, each stage once in a round, on one Ray."""
    stages = [newest(name) for name in ("align", "instruct")]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for kind, name in (("prepared", stages[0].prepared), ("stage", stages[0].fingerprint)):
            shutil.copytree(home_folder() / "artifacts" / kind / name, home / "artifacts" / kind / name)
        os.environ.update(ray_environment(home))
        service = start_ray(home)
        wait_until_up(home, service, "/api/version")
        arms = {f"{way}-{stage.name}": Arm(f"{NAMES[way]}: {stage.name}") for way in MODULES for stage in stages}
        try:
            for number in range(ROUNDS):
                losses = {}
                for way, module in MODULES.items():
                    for stage in stages:
                        job = short(stage, home, 1000 * number + 10)
                        took, losses[way, stage.name] = seconds(service.url, module, job)
                        shutil.rmtree(job.output())  # the other way is to train it as well
                        arms[f"{way}-{stage.name}"].seconds.append(took)
                        print(f"round {number + 1}  {way:<5} {stage.name:<9} {took:6.2f} s", flush=True)
                for stage in stages:
                    assert losses["ours", stage.name] == losses["peer", stage.name], "the losses differ"
        finally:
            stop_service(home, "ray")
    report("First step", 1, "stages", arms, "Seconds from the submission of a job to the end of its first step.")


if __name__ == "__main__":
    as_it_comes(sys.argv[1]) if len(sys.argv) > 1 else main()

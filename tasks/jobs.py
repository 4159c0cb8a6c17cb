"""Jobs on Ray: submitted once by identity, followed to their end, and never run again once committed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import requests
from prefect import task
from prefect.logging import get_run_logger
from pydantic import BaseModel

from tasks.progress_display import ProgressDisplay
from tasks.registry.live import LiveSteps
from tasks.reuse import note_reuse
from web2code.artifacts import read_record
from web2code.config import DatasetRecord, EvaluationRecord, Job, PreparedRecord, Recipe, StageRecord
from web2code.progress import MARK
from web2code.services import find_service, ray_environment, start_ray, stop_service, wait_until_up

POLL_SECONDS = 0.4
# Ray gives the whole log at a time: a long one is asked for less often, so that no more than this comes in a second.
LOG_BYTES_PER_SECOND = 2_000_000
STARTED_HERE: set[str] = set()

T = TypeVar("T", bound=BaseModel)


@task(task_run_name="build-dataset")
def build_dataset(job: Job) -> DatasetRecord:
    """Make the screenshot-HTML pairs."""
    return run_job("build_dataset", job, DatasetRecord)


@task(task_run_name="prepare")
def prepare(job: Job) -> PreparedRecord:
    """Make tokenizer, base checkpoint and arrays."""
    return run_job("prepare", job, PreparedRecord)


@task(task_run_name="train-{name}")
def train(name: str, job: Job, recipe: Recipe, candidate: str) -> StageRecord:
    """Train one stage of a recipe; MLflow shows its steps as they come. `candidate` names the last stage."""
    with LiveSteps(Path(job.where.home), recipe, candidate, name) as live:
        return run_job("train", job, StageRecord, live.take)


@task(task_run_name="evaluate")
def evaluate(job: Job) -> EvaluationRecord:
    """Judge the candidate and the baselines."""
    return run_job("evaluate", job, EvaluationRecord)


def run_job(
    module: str, job: Job, result: type[T], on_progress: Callable[[dict[str, Any]], None] = lambda progress: None
) -> T:
    """The committed record of a job: read where the work is done, or else computed on Ray.

    The submission is named after the job's identity, so that a flow that starts again goes on with the job that is
    still running. A cancelled flow stops its job. `on_progress` is given what each progress line says.

    Raises:
        RuntimeError: the job failed; the message holds its last line and the path of its log.
    """
    logger = get_run_logger()
    if done := read_record(job.output(), result):
        note_reuse(job.fingerprint())
        return done
    home = Path(job.where.home)
    # Ray reads its authentication mode when it is first imported.
    os.environ.update(ray_environment(home))
    service = find_service(home, "ray")
    if service is None:
        service = start_ray(home)
        STARTED_HERE.add(str(home))
        wait_until_up(home, service, "/api/version")
    try:
        client, submission = submit(service.url, f"ray_jobs.{module}", job)
        logger.info("%s: job %s on %s", module, submission, service.url)
        try:
            _follow(client, submission, module, home, on_progress)
        except BaseException:
            if not client.get_job_status(submission).is_terminal():
                client.stop_job(submission)
            raise
    except (ConnectionError, requests.ConnectionError) as error:
        raise RuntimeError(
            f"{module}: Ray at {service.url} does not answer any more (its log: {home / 'services' / 'ray.log'}); "
            "run again to go on"
        ) from error
    record = read_record(job.output(), result)
    if record is None:
        raise RuntimeError(f"job {submission} ended without a committed result: {_log_path(home, submission)}")
    return record


def stop_own_ray(home: Path) -> None:
    """End the Ray that `run_job` started in this process, if it did."""
    if str(home) in STARTED_HERE:
        stop_service(home, "ray")
        STARTED_HERE.discard(str(home))


def submit(url: str, module: str, job: Job) -> tuple[Any, str]:
    """Have Ray at `url` run `python -m MODULE JOB.json`, or find it running; returns the client and the submission."""
    submitted_at = time.time()
    from ray.job_submission import JobStatus, JobSubmissionClient  # heavy, and not needed where nothing is to be done

    client = JobSubmissionClient(url)
    earlier = {info.submission_id: info.status for info in client.list_jobs()}
    attempt = 0
    while (submission := f"{job.kind}-{job.fingerprint()}-{attempt}") in earlier:
        if earlier[submission] in (JobStatus.PENDING, JobStatus.RUNNING):
            return client, submission
        attempt += 1
    threads = str(max(1, (os.cpu_count() or 1) // job.where.num_workers))
    environment = {
        "WEB2CODE_SUBMITTED_AT": str(submitted_at),
        "OMP_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONWARNINGS": "ignore",
    }
    if not job.where.gpus_per_worker:
        environment["DS_ACCELERATOR"] = "cpu"
    specification = Path(job.where.home) / "jobs" / f"{submission}.json"
    specification.parent.mkdir(parents=True, exist_ok=True)
    specification.write_text(job.model_dump_json())
    client.submit_job(
        entrypoint=f"{sys.executable} -P -m {module} {specification}",
        submission_id=submission,
        runtime_env={"env_vars": environment},
    )
    return client, submission


def _follow(client, submission: str, name: str, home: Path, on_progress: Callable[[dict[str, Any]], None]) -> None:
    log = _log_path(home, submission)
    log.parent.mkdir(parents=True, exist_ok=True)
    seen = 0
    with ProgressDisplay(name) as display:
        while True:
            status = client.get_job_status(submission)
            text = client.get_job_logs(submission)
            for line in text[seen:].splitlines():
                if progress := display.show(line):
                    on_progress(progress)
            seen = text.rfind("\n") + 1
            log.write_text(text)
            if status.is_terminal():
                break
            time.sleep(max(POLL_SECONDS, len(text) / LOG_BYTES_PER_SECOND))
    if status != "SUCCEEDED":
        lines = [line for line in text.splitlines() if line.strip() and MARK not in line]
        reason = next((line for line in reversed(lines) if "Error:" in line), lines[-1] if lines else status.value)
        raise RuntimeError(f"{name} failed: {reason.strip()} (log: {log})")


def _log_path(home: Path, submission: str) -> Path:
    return home / "jobs" / f"{submission}.log"

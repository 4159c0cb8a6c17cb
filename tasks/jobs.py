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
from web2code.services import (
    CLUSTER_VARIABLES,
    find_service,
    named_cluster,
    ray_environment,
    start_ray,
    stop_service,
    wait_until_up,
)

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

    That is the cluster that the environment names, or else this home's Ray, which is started where it does not run.
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
    cluster = named_cluster()
    url = cluster or own_ray(home)
    try:
        client, submission = submit(url, f"ray_jobs.{module}", job, is_own=not cluster)
        logger.info("%s: job %s on %s", module, submission, url)
        try:
            _follow(client, submission, module, home, on_progress)
        except BaseException:
            if not client.get_job_status(submission).is_terminal():
                client.stop_job(submission)
            raise
    except (ConnectionError, requests.ConnectionError) as error:
        what = (
            f"its address is from {' or '.join(CLUSTER_VARIABLES)}: unset that to have a Ray of this machine's own"
            if cluster
            else f"its log: {home / 'services' / 'ray.log'}"
        )
        raise RuntimeError(f"{module}: Ray at {url} does not answer ({what}); run again to go on") from error
    record = read_record(job.output(), result)
    if record is None:
        raise RuntimeError(f"job {submission} ended without a committed result: {_log_path(home, submission)}")
    return record


def own_ray(home: Path) -> str:
    """The address of this home's Ray, which is started where it does not run."""
    # Ray reads its authentication mode when it is first imported, and its job client follows an address that is set.
    os.environ.update(ray_environment(home))
    os.environ.pop("RAY_ADDRESS", None)
    service = find_service(home, "ray")
    if service is None:
        service = start_ray(home)
        STARTED_HERE.add(str(home))
        wait_until_up(home, service, "/api/version")
    return service.url


def stop_own_ray(home: Path) -> None:
    """End the Ray that `run_job` started in this process, if it did."""
    if str(home) in STARTED_HERE:
        stop_service(home, "ray")
        STARTED_HERE.discard(str(home))


def submit(url: str, module: str, job: Job, is_own: bool) -> tuple[Any, str]:
    """Have Ray at `url` run `python -m MODULE JOB.json`, or find it running; returns the client and the submission.

    `is_own` says that it is this home's Ray, on this machine alone, and was started in this environment.
    """
    submitted_at = time.time()
    from ray.job_submission import JobStatus, JobSubmissionClient  # heavy, and not needed where nothing is to be done

    client = JobSubmissionClient(url)
    earlier = {info.submission_id: info for info in client.list_jobs()}
    folder, attempt = Path(job.where.home) / "jobs", 0
    while (submission := f"{job.kind}-{job.fingerprint()}-{attempt}") in earlier:
        # On a cluster that others use, the same job may be another home's.
        is_ours = str(folder / f"{submission}.json") in earlier[submission].entrypoint
        if is_ours and earlier[submission].status in (JobStatus.PENDING, JobStatus.RUNNING):
            return client, submission
        attempt += 1
    environment = {
        "WEB2CODE_SUBMITTED_AT": str(submitted_at),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONWARNINGS": "ignore",
    }
    if not job.where.gpus_per_worker:
        environment["DS_ACCELERATOR"] = "cpu"
    specification = folder / f"{submission}.json"
    specification.parent.mkdir(parents=True, exist_ok=True)
    specification.write_text(job.model_dump_json())
    entrypoint = f"{sys.executable} -P -m {module} {specification}"
    if is_own:
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // job.where.num_workers))
    else:
        environment |= {"PATH": f"{Path(sys.executable).parent}:${{PATH}}"}
        entrypoint = f"{_require_files(Path(sys.executable), specification)}; exec {entrypoint}"
    client.submit_job(entrypoint=entrypoint, submission_id=submission, runtime_env={"env_vars": environment})
    return client, submission


def _require_files(*paths: Path) -> str:
    """A shell's line that ends where one of these is missing, with a sentence that says so."""
    sentence = (
        "the cluster does not see {}: home and Python environment must be on a file system that all machines share, "
        "at the same path"
    )
    return "; ".join(f"[ -e '{path}' ] || {{ echo \"{sentence.format(path)}\"; exit 1; }}" for path in paths)


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
        # Ray's own line may come last.
        own = (MARK, f"Running entrypoint for job {submission}")
        lines = [line for line in text.splitlines() if line.strip() and not any(words in line for words in own)]
        reason = next((line for line in reversed(lines) if "Error:" in line), lines[-1] if lines else status.value)
        raise RuntimeError(f"{name} failed: {reason.strip()} (log: {log})")


def _log_path(home: Path, submission: str) -> Path:
    return home / "jobs" / f"{submission}.log"

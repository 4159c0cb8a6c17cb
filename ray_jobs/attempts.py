"""Attempts at a stage: what ended one, and whether another follows."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import ray
from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayActorError

from ray_jobs.deaths import reason_of, was_taken_away
from ray_jobs.room import no_place
from web2code.artifacts import replace_text
from web2code.config import StageConfig, TrainJob
from web2code.training.watchdog import stalled

# Below the folder of a stage's checkpoints.
ATTEMPT, ENDINGS, WORKERS = "attempt", "endings.json", "workers"
# Below that of the workers, once they were told that a machine of theirs goes.
NOTICE = "notice"
# Python's errors that the same weights and samples would lead to again, and what libraries say where memory ends.
LASTING = (FloatingPointError, ValueError)
NO_MEMORY = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
# How long Ray may take to be sure that a machine which does not answer is gone.
SURE_SECONDS = 60.0

Kind = Literal["failure", "preemption", "lasting failure"]


@dataclass(frozen=True)
class Ending:
    """Why an attempt ended; `checkpoint` is the newest one then."""

    kind: Kind
    reason: str
    checkpoint: str = ""


def train_until_done(fit: Callable[[], object], job: TrainJob, folder: Path) -> None:
    """Call `fit`, and again after failures and preemptions, which are counted apart, as often as `job.where` allows.

    What would end in the same way again is not tried again. An attempt that got as far as a new checkpoint makes up for
    those before it. Each ending is noted in `folder`, that of the stage's checkpoints.

    Raises:
        RuntimeError: training cannot go on; the message says in a sentence how the last attempt ended.
    """
    from ray.train import TrainingFailedError  # heavy, and only where something is trained

    here: list[Ending] = []
    shutil.rmtree(folder / WORKERS, ignore_errors=True)
    while True:
        replace_text(folder / ATTEMPT, secrets.token_hex(8))
        killed, machines = num_killed_for_memory(), machines_there()
        try:
            fit()
            return
        except (TrainingFailedError, RayActorError) as error:
            left = _set_aside(folder)
            kind, reason = ending_of(error, job, left, num_killed_for_memory() > killed, partial(has_lost, machines))
            here.append(Ending(kind, reason, _newest_checkpoint(folder)))
            replace_text(folder / ENDINGS, json.dumps([asdict(each) for each in (*endings(folder), here[-1])]))
            if not is_tried_again(here, job):
                raise RuntimeError(f"{job.stage.name}: {reason}") from error
            goes_on = here[-1].checkpoint or "the start"
            print(f"warning: {job.stage.name}: {kind}: {reason}; training goes on from {goes_on}", flush=True)


def endings(folder: Path) -> list[Ending]:
    """How the attempts at a stage have ended so far, but for those whose driver was killed with them."""
    path = folder / ENDINGS
    return [Ending(**each) for each in json.loads(path.read_text())] if path.exists() else []


def is_tried_again(here: list[Ending], job: TrainJob) -> bool:
    """Whether another attempt follows the last of these."""
    limits = {"failure": job.where.max_failures, "preemption": job.where.max_preemptions, "lasting failure": 0}
    alike = [each for each in here if (each.kind, each.checkpoint) == (here[-1].kind, here[-1].checkpoint)]
    return len(alike) <= limits[here[-1].kind]


def ending_of(
    error: Exception, job: TrainJob, left: Path, killed_for_memory: bool, lost_machine: Callable[[], bool]
) -> tuple[Kind, str]:
    """What ended an attempt: of what kind, and in a sentence. `left` is the folder of what its workers wrote.

    One worker's end makes others fail, in other words: the most telling cause counts.
    """
    from ray.train import PreemptionError
    from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError, WorkerGroupStartupTimeoutError

    failure = getattr(error, "controller_failure", error)
    if isinstance(failure, WorkerGroupStartupTimeoutError):
        return "lasting failure", no_place(job.where)
    if isinstance(failure, WorkerGroupStartupFailedError):
        failure = failure.__cause__ or failure
    stage = job.stage
    causes = {
        rank: getattr(each, "health_check_failure", each)
        for rank, each in getattr(error, "worker_failures", {}).items()
    } or {-1: failure}
    died = {rank: cause for rank, cause in causes.items() if isinstance(cause, RayActorError)}
    raised = [cause for cause in causes.values() if not isinstance(cause, RayActorError)]
    for cause in raised:
        if isinstance(cause, LASTING):
            return "lasting failure", str(cause).removeprefix(f"{stage.name}: ")
        if isinstance(cause, MemoryError | OutOfMemoryError) or any(words in str(cause) for words in NO_MEMORY):
            return "lasting failure", out_of_memory(stage, str(cause).partition("\n")[0])
    if died and killed_for_memory:
        return "lasting failure", out_of_memory(stage, "the kernel killed a process for it")
    if isinstance(error, PreemptionError):
        return "preemption", str(error)
    for rank, cause in died.items():
        if was_taken_away(cause):
            return "preemption", _death(rank, cause)
        if isinstance(cause, ActorUnavailableError) and lost_machine():
            return "preemption", f"the machine of rank {rank} is gone"
    # Those that lose their connection to a machine may fail before Ray knows that it is gone.
    kind: Kind = "preemption" if (left / NOTICE).exists() else "failure"
    if hung := stalled(left):
        return kind, "; ".join(hung)
    return kind, _death(*next(iter(died.items()))) if died else reason_of(raised[0])


def out_of_memory(stage: StageConfig, what: str) -> str:
    """What happened, and what to do about it."""
    held = f"pack_tokens (now {stage.pack_tokens})" if stage.pack_tokens else f"micro_batch (now {stage.micro_batch})"
    ways = [f"lower {stage.name}.{held}"]
    ways += [] if stage.gradient_checkpointing else [f"set {stage.name}.gradient_checkpointing=true"]
    ways += [] if stage.zero_stage == 3 else [f"raise {stage.name}.zero_stage (now {stage.zero_stage})"]
    return f"out of memory ({what}): {', '.join(ways)}; `web2code plan` tells what fits"


def num_killed_for_memory() -> int:
    """How many processes this machine's kernel has ended for want of memory, as far as it tells."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def machines_there() -> set[str]:
    """Ray's names of the machines that it knows to be alive."""
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]} if ray.is_initialized() else set()


def has_lost(machines: set[str]) -> bool:
    """Whether one of these machines is gone, or is found to be soon."""
    deadline = time.monotonic() + SURE_SECONDS
    while machines <= machines_there():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def fence(folder: Path) -> Callable[[], None]:
    """A check for workers to make before they write; after a later attempt has begun without them, it fails.

    What Ray takes for dead may live on, on a machine that lost its connection or after Ray itself was killed.
    """
    own = (folder / ATTEMPT).read_text()

    def check() -> None:
        if (folder / ATTEMPT).read_text() != own:
            raise RuntimeError("another attempt at this stage has begun: this one must not write any more")

    return check


def preemption_notice(folder: Path) -> Callable[[], bool]:
    """A function for all workers to call equally often: true, once, when one of their machines is to be taken away.

    It notes so in `folder`, that of the stage's checkpoints: what ends the attempt after that is a preemption.
    """
    import ray.train

    if os.environ.get("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER") == "0":
        return lambda: False
    told = False

    def is_leaving() -> bool:
        nonlocal told
        if told or ray.train.get_preemption_info() is None:
            return False
        told = True
        (folder / WORKERS).mkdir(parents=True, exist_ok=True)
        (folder / WORKERS / NOTICE).touch()
        return True

    return is_leaving


def _set_aside(folder: Path) -> Path:
    """Keep what the workers of an attempt left behind from the next one."""
    left = folder / f"{WORKERS}-{len(endings(folder)) + 1}"
    if (folder / WORKERS).exists():
        (folder / WORKERS).rename(left)
    return left


def _newest_checkpoint(folder: Path) -> str:
    return max((path.parent.name for path in folder.glob("step-*/manifest-*.json")), default="")


def _death(rank: int, error: RayActorError) -> str:
    """What Ray knows of a worker's end, without what it supposes."""
    told = reason_of(error).rpartition("Worker exit detail: ")[2].partition(" Some common causes")[0]
    return f"rank {rank} died: {told}" if rank >= 0 else f"a process of Ray Train died: {told}"

"""The models of a run answer side by side, each from engines of its own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ray_jobs.engines import answer, engine_starter, window
from web2code.config import BenchmarkJob, EngineConfig, EvaluateJob
from web2code.evaluation.engines.engine import Request
from web2code.evaluation.journal import Journal
from web2code.evaluation.writing import BATCH, bundles
from web2code.progress import report

# Engines get the first processes that Ray starts, for what they do takes longest: nothing else is started for so long.
SECONDS_AHEAD = 2.0
# A system, what it was asked, and its `text`, or the `error` that there is in place of one.
Written = tuple[str, str, dict[str, str]]
Found = SimpleQueue[Written | Exception | None]


@dataclass(frozen=True)
class Writers:
    """Models that are writing: what each puts into the queue, None at its end, or what it failed of."""

    num: int
    found: Found = field(default_factory=SimpleQueue)


def checkpoints(job: EvaluateJob) -> dict[str, Path]:
    """Where the weights of each model lie."""
    artifacts = Path(job.where.home) / "artifacts"
    found = {
        "candidate": artifacts / "stage" / job.candidate / "model",
        "untrained": artifacts / "prepared" / job.prepared / "base",
    }
    return found | ({"champion": artifacts / "stage" / job.champion / "model"} if job.champion else {})


def start_writers(job: EvaluateJob, out: Path, todo: list[Request]) -> Writers:
    """Have each model asked what is to do, and its answers put into a queue; a thread follows each model's engines."""
    writers = Writers(len(checkpoints(job)))
    for name, checkpoint in checkpoints(job).items():
        begun = threading.Event()
        arguments = (job, name, checkpoint, Journal(out / f"answers-{name}.jsonl"), todo, writers.found, begun)
        threading.Thread(target=write_answers, args=arguments, daemon=True).start()
        begun.wait(SECONDS_AHEAD)
    return writers


def write_answers(
    job: EvaluateJob,
    name: str,
    checkpoint: Path,
    journal: Journal,
    todo: list[Request],
    found: Found,
    begun: threading.Event,
) -> None:
    """Put a model's answers into the queue: those that are there already, then others as they are written, then None.

    A bundle that was answered in part is asked again as a whole, for an answer may depend on its batch in the last
    bits; what was answered first stays. `begun` is set once an engine was asked for, or none is needed.
    """
    try:
        missing = []
        for bundle in bundles(todo):
            if not all(request.key in journal for request in bundle):
                missing.append(bundle)
                continue
            for request in bundle:
                found.put((name, request.key, journal[request.key]))
        asking = engine_job(job, name, checkpoint)
        start = engine_starter(asking)

        def start_and_tell() -> Any:
            actor = start()
            begun.set()
            return actor

        for reply in answer(start_and_tell, num_engines(job), missing, window=window(asking, BATCH)):
            if reply.key not in journal:
                journal.add(reply.key, text=reply.text, error=reply.error)
            found.put((name, reply.key, journal[reply.key]))
        found.put(None)
    except Exception as error:
        found.put(error)
    finally:
        begun.set()


def engine_job(job: EvaluateJob, name: str, checkpoint: Path) -> BenchmarkJob:
    """What `web2code evaluate` would ask engines of this checkpoint for."""
    engine = EngineConfig(kind=job.evaluation.engine, model=str(checkpoint))
    return BenchmarkJob(where=job.where, name=name, checkpoint=str(checkpoint), engine=engine, benchmarks={})


def num_engines(job: EvaluateJob) -> int:
    """Copies of each model: they share the GPUs; on CPUs one keeps a core busy."""
    return max(1, job.where.num_workers // len(checkpoints(job))) if job.where.gpus_per_worker else 1


def num_side_by_side(job: EvaluateJob) -> int:
    """Engines without which none would end: one model waits for another's, but copies of one wait for each other."""
    copies = num_engines(job)
    return copies * len(checkpoints(job)) if copies > 1 else 1


def written(writers: Writers, total: int) -> Iterator[Written]:
    """Answers of all models as they are written, `total` of each.

    Raises:
        RuntimeError: an engine does not start, or dies too often.
        ValueError: there is no such engine.
    """
    counts: Counter[str] = Counter()
    writing = writers.num
    while writing:
        found = writers.found.get()
        if isinstance(found, Exception):
            raise found
        if found is None:
            writing -= 1
            continue
        counts[found[0]] += 1
        report(f"write {found[0]}", counts[found[0]], total, "answers")
        yield found

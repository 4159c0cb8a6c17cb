"""Judge a model and the baselines on the held-out pages, in parallel: `python -m ray_jobs.evaluate JOB.json`."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

import ray

from web2code.artifacts import publish, read_record
from web2code.config import EvaluateJob, EvaluationRecord, Viewport, code_digest
from web2code.data.pages import read_pages
from web2code.evaluation import summary
from web2code.evaluation.constant import best_constant, constant_answers, constant_candidates
from web2code.evaluation.judging import Judge
from web2code.evaluation.screenshots import read_screenshots, write_screenshots
from web2code.evaluation.writing import Screenshot, write_answers
from web2code.progress import report

PAGES_PER_JUDGE = 16


def main(job: EvaluateJob) -> EvaluationRecord:
    """Evaluate every system; answers that are already written are not asked for again. Returns the committed record.

    Raises:
        ValueError: the dataset has no held-out page, or one that does not render.
    """
    if done := read_record(job.output(), EvaluationRecord):
        return done
    started = time.perf_counter()
    out = Path(job.output())
    out.mkdir(parents=True, exist_ok=True)
    rows = read_pages(job.where.data_dir, "eval")
    if not rows:
        raise ValueError(f"{job.where.data_dir} holds no held-out page: build the dataset with pages.num_eval >= 1")
    shots = read_screenshots(job.where.screenshots_folder)
    write_screenshots(shots, out / "pictures" / "screenshots")
    writers = start_writers(job, out, rows, shots)
    with started_judges(job.viewport, rows, shots, out) as judges:
        train = read_pages(job.where.data_dir, "train", images=False)
        candidates = constant_candidates(train or rows, job.evaluation.constant_candidates, job.seed)
        constant = best_constant(candidates, ray.get([judge.constant_scores.remote(candidates) for judge in judges]))
        seconds = {"references": time.perf_counter() - started}
        batches = written(writers, {"constant_page": constant_answers(constant, rows, shots)})
        systems = summary.in_order(judge_as_written(batches, judges, rows, shots), rows, shots)
        seconds["answers"] = time.perf_counter() - started - seconds["references"]
    summary.write_samples(out, systems, rows)
    record = summary.evaluation_record(
        systems, rows, job.evaluation, job.seed, fingerprint=job.fingerprint(), dataset_version=job.dataset_version,
        evaluator=code_digest(job.code)[:12], seconds=seconds,
    )  # fmt: skip
    publish(out, job.output(), record)
    return record


def checkpoints(job: EvaluateJob) -> dict[str, Path]:
    """Where the weights of each model lie."""
    artifacts = Path(job.where.home) / "artifacts"
    found = {
        "candidate": artifacts / "stage" / job.candidate / "model",
        "untrained": artifacts / "prepared" / job.prepared / "base",
    }
    return found | ({"champion": artifacts / "stage" / job.champion / "model"} if job.champion else {})


def start_writers(job: EvaluateJob, out: Path, rows: list[dict[str, Any]], shots: list[Screenshot]) -> dict[str, Any]:
    """A stream of answers from each model; a stream that broke and starts again yields the same batches."""
    gpus = job.where.gpus_per_worker
    write = ray.remote(num_cpus=0.5, num_gpus=gpus, num_returns="streaming")(write_answers)
    inputs, device = (ray.put(rows), ray.put(shots), job.evaluation), "cuda" if gpus else "cpu"
    return {
        name: write.remote(name, str(path), str(out / f"answers-{name}.jsonl"), *inputs, device)
        for name, path in checkpoints(job).items()
    }


@contextmanager
def started_judges(
    viewport: Viewport, rows: list[dict[str, Any]], shots: list[Screenshot], out: Path
) -> Iterator[list[Any]]:
    """Judges that share the reference pages between them: of n judges, judge i has page i, i + n, i + 2n and so on."""
    num = max(1, min(ceil(len(rows) / PAGES_PER_JUDGE), int(ray.cluster_resources().get("CPU", 1))))
    pictures = ray.put(shots)
    judges = [ray.remote(num_cpus=0.25)(Judge).remote(viewport, pictures, out) for _ in range(num)]
    try:
        ray.get([judge.add_references.remote(rows[i::num]) for i, judge in enumerate(judges)])
        yield judges
    finally:
        ray.wait([judge.close.remote() for judge in judges], num_returns=num, timeout=30)


def written(writers: dict[str, Any], ready: dict[str, dict[str, str]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Batches of answers with their system: those that are there already, then the others as they are written."""
    yield from ready.items()
    streams = {stream: name for name, stream in writers.items()}
    while streams:
        stream = ray.wait(list(streams), num_returns=1)[0][0]
        try:
            yield streams[stream], ray.get(next(stream))
        except StopIteration:
            del streams[stream]


def judge_as_written(
    batches: Iterator[tuple[str, dict[str, str]]],
    judges: list[Any],
    rows: list[dict[str, Any]],
    shots: list[Screenshot],
) -> dict[str, summary.System]:
    """All systems, judged; a batch is rendered and scored while the next ones are written."""
    keys = [f"page/{row['id']}" for row in rows], [f"screenshot/{shot.id}" for shot in shots]
    charge = {key: i % len(judges) for kind in keys for i, key in enumerate(kind)}
    systems: dict[str, summary.System] = defaultdict(summary.System)
    calls = []
    for name, answers in batches:
        systems[name].texts |= answers
        for number, judge in enumerate(judges):
            if share := {key: text for key, text in answers.items() if charge.get(key) == number}:
                calls.append((name, judge.judge.remote(name, share)))
    for number, (name, call) in enumerate(calls):
        systems[name].add(ray.get(call))
        report("judge", number + 1, len(calls), "batches of answers")
    return systems


if __name__ == "__main__":
    ray.init()
    main(EvaluateJob.model_validate_json(Path(sys.argv[1]).read_text()))

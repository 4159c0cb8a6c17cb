"""Judge a model and the baselines on the held-out pages, in parallel: `python -m ray_jobs.evaluate JOB.json`."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Any

import ray

from ray_jobs.engines import require_engines
from ray_jobs.scorers import Scorers
from ray_jobs.writers import Written, num_side_by_side, start_writers, written
from web2code.artifacts import publish, read_record
from web2code.config import EvaluateJob, EvaluationRecord, code_digest
from web2code.data.pages import read_pages
from web2code.evaluation import summary
from web2code.evaluation.benchmarks.benchmark import Folders, Sample
from web2code.evaluation.benchmarks.wcgb import WCGB
from web2code.evaluation.constant import best_constant, constant_answers, constant_candidates
from web2code.evaluation.journal import Journal
from web2code.evaluation.references import References
from web2code.evaluation.screenshots import Screenshot, read_screenshots, write_screenshots
from web2code.evaluation.writing import asks

PAGES_PER_SCORER = 16
PICTURES = "pictures"
Rows = list[dict[str, Any]]
Facts = dict[str, Any]


def main(job: EvaluateJob) -> EvaluationRecord:
    """Evaluate every system; answers that are already written are not asked for again. Returns the committed record.

    Raises:
        ValueError: the dataset has no held-out page, or the cluster has no room for the engines.
    """
    if done := read_record(job.output(), EvaluationRecord):
        return done
    require_engines(num_side_by_side(job), job.where)
    started = time.perf_counter()
    out = Path(job.output())
    out.mkdir(parents=True, exist_ok=True)
    rows = read_pages(job.where.data_dir, "eval")
    if not rows:
        raise ValueError(f"{job.where.data_dir} holds no held-out page: build the dataset with pages.num_eval >= 1")
    shots = read_screenshots(job.where.screenshots_folder)
    write_screenshots(shots, out / PICTURES / "screenshots")
    todo = list(asks(rows, shots, job.evaluation))
    writers, verdicts = start_writers(job, out, todo), Journal(out / "verdicts.jsonl")
    with start_scorers(job, out, verdicts, num_processes(rows)) as scorers:
        references, constant = look_at_references(job, rows, scorers)
        seconds = {"references": time.perf_counter() - started}
        same = constant_answers(constant, rows, shots)
        answers = chain(
            (("constant_page", asked, {"text": text}) for asked, text in same.items()),
            written(writers, len(todo)),
        )
        texts = score_as_written(answers, facts_of(references, shots), scorers, verdicts)
    seconds["answers"] = time.perf_counter() - started - seconds["references"]
    systems = summary.judged_systems(texts, verdicts.entries, rows, shots)
    summary.write_samples(out, systems, rows)
    record = summary.evaluation_record(
        systems, rows, job.evaluation, job.seed, fingerprint=job.fingerprint(), dataset_version=job.dataset_version,
        evaluator=code_digest(job.code)[:12], seconds=seconds,
    )  # fmt: skip
    publish(out, job.output(), record)
    return record


def num_processes(rows: Rows) -> int:
    """Processes with browsers that are worth their start."""
    return max(1, min(ceil(len(rows) / PAGES_PER_SCORER), int(ray.cluster_resources().get("CPU", 1))))


def start_scorers(job: EvaluateJob, out: Path, verdicts: Journal, num: int) -> Scorers:
    """What scores WCGB; pictures go to `pictures/SYSTEM/PAGE.png`, for that is what the samples are called."""
    pages = replace(WCGB, scorer=partial(References, job.viewport))
    folders = Folders(out / PICTURES, Path(job.where.data_dir), out / "kept")
    return Scorers({PICTURES: pages}, {PICTURES: folders}, {PICTURES: verdicts}, {PICTURES: num})


def look_at_references(job: EvaluateJob, rows: Rows, scorers: Scorers) -> tuple[dict[str, Facts], str]:
    """What answers to each held-out page are compared with, and the training page that is the best answer to all."""
    actors = scorers.actors[PICTURES]
    shares = ray.get([actor.call.remote("render", rows[i :: len(actors)]) for i, actor in enumerate(actors)])
    train = read_pages(job.where.data_dir, "train", images=False)
    candidates = constant_candidates(train or rows, job.evaluation.constant_candidates, job.seed)
    totals = ray.get([actor.call.remote("constant_scores", candidates) for actor in actors])
    return dict(chain.from_iterable(share.items() for share in shares)), best_constant(candidates, totals)


def facts_of(references: dict[str, Facts], shots: list[Screenshot]) -> dict[str, Facts]:
    """What answers to pages and screenshots are compared with, by what was asked."""
    pages = {f"page/{page}": found for page, found in references.items()}
    return pages | {f"screenshot/{shot.id}": {"screenshot": shot.png} for shot in shots}


def score_as_written(
    answers: Iterable[Written], facts: dict[str, Facts], scorers: Scorers, verdicts: Journal
) -> dict[str, dict[str, str]]:
    """The texts of every system by what was asked; pages are scored while others are written."""
    texts: dict[str, dict[str, str]] = defaultdict(dict)
    for system, asked, entry in answers:
        texts[system][asked] = entry["text"]
        if asked not in facts:
            continue
        name = summary.sample_name(system, asked)
        if error := entry.get("error"):
            verdicts.add(name, outcome="no_answer", values={}, reason=error)
        else:
            scorers.take(PICTURES, Sample(name, (), "", 0, facts[asked]), entry["text"])
    scorers.collect()
    return texts


if __name__ == "__main__":
    ray.init(include_dashboard=False)
    main(EvaluateJob.model_validate_json(Path(sys.argv[1]).read_text()))

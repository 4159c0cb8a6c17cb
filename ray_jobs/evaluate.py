"""Judge a model and the baselines on the held-out pages, in parallel: `python -m ray_jobs.evaluate JOB.json`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import ray

from web2code import dataset
from web2code.artifacts import publish, read_record
from web2code.config import EvaluateJob, EvaluationRecord, code_digest
from web2code.evaluation import summary
from web2code.evaluation.constant import best_constant, constant_answers, constant_candidates
from web2code.evaluation.judging import Judge
from web2code.evaluation.screenshots import read_screenshots
from web2code.evaluation.writing import write_answers
from web2code.progress import report


def main(job: EvaluateJob) -> EvaluationRecord:
    """Evaluate every system; answers that are already written are not asked for again. Returns the committed record."""
    if done := read_record(job.output(), EvaluationRecord):
        return done
    started, config = time.perf_counter(), job.evaluation
    out = Path(job.output())
    out.mkdir(parents=True, exist_ok=True)
    rows = dataset.read_rows(job.where.data_dir, "eval")
    shots = read_screenshots(job.where.screenshots_folder)
    # Writing, rendering and scoring overlap: the judges work on one system while the next is written.
    write = ray.remote(num_cpus=0.5)(write_answers)
    inputs = ray.put(rows), ray.put(shots)
    answers = {
        name: write.remote(name, str(path), str(out / f"answers-{name}.jsonl"), *inputs, config)
        for name, path in checkpoints(job).items()
    }
    num_judges = max(1, min(len(rows), int(ray.cluster_resources().get("CPU", 1))))
    judges = [ray.remote(num_cpus=0.25)(Judge).remote(job.viewport) for _ in range(num_judges)]
    ray.get([judge.add_references.remote(rows[i::num_judges], out) for i, judge in enumerate(judges)])
    candidates = constant_candidates(
        dataset.read_rows(job.where.data_dir, "train", ["html"]), config.constant_candidates, job.seed
    )
    constant = best_constant(candidates, ray.get([judge.constant_scores.remote(candidates) for judge in judges]))
    answers["constant_page"] = ray.put(constant_answers(constant, rows, shots))
    seconds = {"references": time.perf_counter() - started}
    systems, screenshots, lines = {}, {}, {"samples": [], "questions": [], "screenshots": []}
    for number, name in enumerate(sorted(answers, key=lambda name: name != "constant_page")):
        report("judge", number, len(answers), name)
        pages = [judge.judge_pages.remote(name, answers[name], out) for judge in judges]
        pixels = judges[0].judge_screenshots.remote(name, answers[name], inputs[1], out)
        judged, judged_shots = [page for share in ray.get(pages) for page in share], ray.get(pixels)
        texts = ray.get(answers[name])
        systems[name] = summary.system_result(judged, rows, texts, config, job.seed)
        lines["samples"] += summary.sample_rows(name, judged)
        lines["questions"] += summary.question_rows(name, rows, texts)
        if shots:
            screenshots[name] = summary.pixel_result(judged_shots, config, job.seed)
            lines["screenshots"] += summary.sample_rows(name, judged_shots)
        seconds[name] = time.perf_counter() - started - sum(seconds.values())
    report("judge", len(answers), len(answers), "all systems")
    for name, content in lines.items():
        summary.write_lines(out / f"{name}.jsonl", content)
    for shot in shots:
        folder = out / "pictures" / "screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{shot.id}.png").write_bytes(shot.png)
    record = EvaluationRecord(
        fingerprint=job.fingerprint(), dataset_version=job.dataset_version, evaluator=code_digest(job.code)[:12],
        systems=systems, screenshots=screenshots, seconds=seconds,
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


if __name__ == "__main__":
    ray.init()
    main(EvaluateJob.model_validate_json(Path(sys.argv[1]).read_text()))

"""The lifecycle: data, gate, its stages of training, evaluation, decision, registration, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow

from tasks.benchmarks import ask_benchmarks
from tasks.jobs import build_dataset, evaluate, prepare, train
from tasks.records import decide, publish_report, running
from tasks.register import find_champion, register_model
from tasks.validate import validate_dataset
from tasks.version import version_dataset
from web2code.config import StageRecord
from web2code.plan import make_plan


@flow(name="train-web2code")
def train_web2code(
    recipe: str = "tiny",
    overrides: dict[str, Any] | None = None,
    pages: str | None = None,
    screenshots: str | None = None,
    sources: dict[str, str] | None = None,
    workers: int = 2,
    gpus: int = 0,
    where: dict[str, Any] | None = None,
    benchmarks: dict[str, str] | None = None,
) -> str:
    """Train, judge and register a screenshot-to-HTML model; returns the path of the report.

    Args:
        recipe: name of a recipe.
        overrides: values that replace the recipe's, by dotted key (`instruct.steps`).
        pages: a folder of HTML documents to train on, in place of generated pages.
        screenshots: a folder of real screenshots to show the model as well.
        sources: by source, the folder of the data that the recipe's mixture is made of.
        workers: training processes, where there is no GPU.
        gpus: GPUs to train on.
        where: how it runs, such as `max_preemptions`; no result depends on it.
        benchmarks: by benchmark, the folder of its files; on none of them may the candidate fall behind the champion.
    """
    plan = make_plan(recipe, overrides or {}, pages, screenshots, sources, workers, gpus, where, benchmarks)
    chosen, home, data = plan.recipe, plan.home, plan.data_dir
    with running(plan) as run:
        dataset = run.step("dataset", build_dataset, plan.build_job())
        version = run.step("version", version_dataset, plan.build_job().output(), data, home, dataset)
        verdict = run.step("validate", validate_dataset, data, home, chosen.validation)
        prepared = run.step("prepare", prepare, plan.prepare_job(version, verdict))
        run.candidate = plan.candidate(prepared)
        stages: list[StageRecord] = []
        for stage in chosen.stages:
            job = plan.train_job(stage, prepared, *stages[-1:])
            stages.append(run.step(stage.name, train, stage.name, job, chosen, run.candidate))
        champion = find_champion(chosen.model_name, home)
        judging = plan.evaluate_job(version, prepared, stages[-1], champion)
        evaluation = run.step("evaluate", evaluate, judging)
        asking = plan.benchmark_jobs(judging)
        answered = run.step("benchmarks", ask_benchmarks, *asking) if asking else None
        decision = run.step("decide", decide, evaluation, chosen.gate, answered)
        model_dir, licences = plan.model_dir(stages[-1]), verdict.licences
        judged = evaluation, decision, model_dir, home, answered
        run.step("register", register_model, chosen, version, licences, stages, *judged)
        report = run.step("report", publish_report, run, stages, Path(judging.output()))
    return str(report)

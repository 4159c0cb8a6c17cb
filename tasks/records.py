"""The run's summary as the flow goes on: step times, results, and the end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from prefect import task
from pydantic import BaseModel

from tasks.jobs import stop_own_ray
from tasks.registry.live import fail_run
from tasks.reuse import note_reuse, take_reuse
from web2code.artifacts import publish, read_record
from web2code.config import BenchmarksRecord, Decision, EvaluationRecord, GateConfig, StageRecord, digest
from web2code.gate import decide as decide_purely
from web2code.plan import Plan
from web2code.report import write_report
from web2code.summary import RunSummary, begin_run, run_folder, write_summary

T = TypeVar("T")


class Run:
    """A run that is going on: its plan, and its summary on disk after every step.

    `candidate` is the fingerprint of what it trains, as soon as that is known.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.summary: RunSummary = begin_run(plan.home)
        self.summary.recipe = plan.recipe.name
        self.candidate = ""
        self.began = time.perf_counter()
        (self.folder / "recipe.json").write_text(plan.recipe.model_dump_json(indent=2))
        if plan.note:
            print(plan.note, flush=True)

    @property
    def folder(self) -> Path:
        """Where the run's files lie."""
        return run_folder(self.plan.home, self.summary.run)

    def step(self, name: str, work: Callable[..., T], *arguments: Any) -> T:
        """Do one step, say how it went, and save its result and its time in the summary."""
        began = time.perf_counter()
        take_reuse()
        print(f"{name} ...", flush=True)
        result = work(*arguments)
        seconds = time.perf_counter() - began
        reused = take_reuse()
        print(f"{name}: unchanged, reused {reused}" if reused else f"{name}: done in {seconds:.1f} s", flush=True)
        self.summary.seconds[name] = round(seconds, 3)
        if reused:
            self.summary.reused.append(name)
        self.summary.take(result)
        self.save()
        return result

    def save(self) -> None:
        """Write the summary."""
        self.summary.seconds.pop("total", None)
        self.summary.seconds["total"] = round(time.perf_counter() - self.began, 3)
        write_summary(self.plan.home, self.summary)


@contextmanager
def running(plan: Plan) -> Iterator[Run]:
    """A run from its start to its end; whatever ends it is written down, and what it started is stopped."""
    run = Run(plan)
    try:
        yield run
        run.summary.status = "completed"
    except BaseException as error:
        run.summary.status = "failed"
        run.summary.error = str(error) or type(error).__name__
        if run.candidate:
            fail_run(plan.home, plan.recipe, run.candidate)
        raise
    finally:
        run.save()
        stop_own_ray(plan.home)


@task(task_run_name="decide")
def decide(evaluation: EvaluationRecord, gate: GateConfig, benchmarks: BenchmarksRecord | None) -> Decision:
    """The gate's verdict on the candidate."""
    return decide_purely(evaluation, gate, benchmarks)


class ReportRecord(BaseModel):
    """A report that was written."""

    path: str


@task(task_run_name="report")
def publish_report(run: Run, stages: list[StageRecord], evaluation_dir: Path) -> Path:
    """Write the run's report, or copy the one that shows the same results; returns its path."""
    shown = run.summary.model_dump(mode="json", exclude={"run", "seconds", "status", "reused", "report"})
    marker = Path(f"{run.plan.home}/artifacts/report/{digest(shown)[:16]}")
    if read_record(str(marker), ReportRecord):
        note_reuse(marker.name)
    else:
        marker.mkdir(parents=True, exist_ok=True)
        write_report(marker / "report.html", run.summary, run.plan, stages, evaluation_dir)
        publish(marker, str(marker), ReportRecord(path=str(marker / "report.html")))
    target = run.folder / "report.html"
    shutil.copyfile(marker / "report.html", target)
    run.summary.report = str(target)
    return target

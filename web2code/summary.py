"""The record of a run: `summary.json`, from its first second to its end, whatever the end is."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from web2code.artifacts import replace_text
from web2code.config import (
    BenchmarkResult,
    BenchmarksRecord,
    DatasetRecord,
    Decision,
    EvaluationRecord,
    ModelRecord,
    PixelResult,
    StageRecord,
    SystemResult,
    ValidationRecord,
)

BASELINES = ("untrained", "constant_page")


class DatasetSummary(BaseModel):
    """Which data, and how much of it."""

    version: str
    num_pages: int
    num_questions: int
    num_left_out: int = Field(0, description="rows that the build or the gate took out")


class StageSummary(BaseModel):
    """How a training stage went; times in seconds."""

    name: str
    zero_stage: int
    steps: int
    first_loss: float
    last_loss: float
    seconds_to_first_step: float
    seconds: float


class RunSummary(BaseModel):
    """What a run did and what came of it. Scores are on 0 to 10, accuracies are shares."""

    run: str
    status: Literal["running", "completed", "failed"] = "running"
    error: str = ""
    recipe: str = ""
    seconds: dict[str, float] = Field(default_factory=dict, description="per step, and `total`")
    reused: list[str] = Field(default_factory=list, description="steps whose result was there already")
    dataset: DatasetSummary | None = None
    stages: list[StageSummary] = []
    evaluation: SystemResult | None = None
    baselines: dict[str, SystemResult] = {}
    champion: SystemResult | None = None
    screenshots: dict[str, PixelResult] = {}
    benchmarks: dict[str, BenchmarkResult] = {}
    decision: Decision | None = None
    model: ModelRecord | None = None
    report: str = ""

    def take(self, result: Any) -> None:
        """Take in what a step returned; results that the summary has no place for are passed over.

        The one step that returns a text is the one that versions the dataset.
        """
        match result:
            case DatasetRecord():
                self.dataset = DatasetSummary(
                    version="",
                    num_pages=result.num_pages,
                    num_questions=result.num_questions,
                    num_left_out=result.num_quarantined,
                )
            case ValidationRecord() if self.dataset:
                self.dataset.num_left_out = result.num_left_out_by_build + result.num_quarantined
            case str() if self.dataset:
                self.dataset.version = result
            case StageRecord():
                self.stages.append(StageSummary(**result.model_dump(include=set(StageSummary.model_fields))))
            case EvaluationRecord():
                self.evaluation = result.systems["candidate"]
                self.baselines = {name: result.systems[name] for name in BASELINES}
                self.champion = result.systems.get("champion")
                self.screenshots = result.screenshots
            case BenchmarksRecord():
                self.benchmarks = result.results
            case Decision():
                self.decision = result
            case ModelRecord():
                self.model = result


def begin_run(home: Path) -> RunSummary:
    """A new run, that `latest` points at; its name sorts by the time it began (UTC)."""
    run = time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(2)
    summary = RunSummary(run=run)
    write_summary(home, summary)
    link = home / "runs" / f".latest-{run}"
    link.symlink_to(run)
    os.replace(link, home / "runs" / "latest")
    return summary


def write_summary(home: Path, summary: RunSummary) -> Path:
    """Write `summary.json` in one piece; returns its path."""
    path = run_folder(home, summary.run) / "summary.json"
    replace_text(path, summary.model_dump_json(indent=2))
    return path


def run_folder(home: Path, run: str) -> Path:
    """Where a run's summary and report lie."""
    return home / "runs" / run

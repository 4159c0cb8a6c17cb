"""A job's progress as a bar on the terminal and as an artifact in Prefect's UI."""

from __future__ import annotations

import time
from types import TracebackType
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import get_run_context
from prefect.exceptions import MissingContextError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from web2code.progress import parse

ARTIFACT_SECONDS = 3.0
PLAIN_LINES = 4


class RateColumn(ProgressColumn):
    """How many are done in a second."""

    def render(self, task: Task) -> Text:
        """The rate of the last half minute, or over all once it is done."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


class ProgressDisplay:
    """Shows the progress lines of one job; where output is no terminal, a plain line at each quarter."""

    def __init__(self, name: str) -> None:
        self.name = name
        console = Console()
        self.plain = not console.is_terminal
        self.bars = Progress(
            TextColumn("  {task.description:<16}"), BarColumn(), MofNCompleteColumn(), RateColumn(),
            TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[text]}"),
            console=console, disable=self.plain,
        )  # fmt: skip
        self.rows: dict[str, int] = {}
        self.quarters: dict[str, int] = {}
        self.artifact: UUID | None = None
        self.artifact_at = 0.0

    def __enter__(self) -> ProgressDisplay:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def show(self, line: str) -> None:
        """Take one line of the job's log; lines without progress are passed over."""
        if (progress := parse(line)) is None:
            return
        stage, done, total, text = progress["stage"], progress["done"], progress["total"], progress["text"]
        if stage not in self.rows:
            self.rows[stage] = self.bars.add_task(stage, total=total, text="")
        self.bars.update(self.rows[stage], completed=done, total=total, text=text)
        quarter = PLAIN_LINES * done // max(total, 1)
        if self.plain and quarter > self.quarters.get(stage, 0):
            self.quarters[stage] = quarter
            print(f"  {stage}: {done}/{total} {text}", flush=True)
        self._update_artifact(stage, done, total)

    def _update_artifact(self, stage: str, done: int, total: int) -> None:
        if time.monotonic() - self.artifact_at < ARTIFACT_SECONDS and done < total:
            return
        try:
            get_run_context()
        except MissingContextError:
            return
        percent = 100.0 * done / max(total, 1)
        key = "progress-" + self.name.replace("_", "-")
        if self.artifact is None:
            self.artifact = create_progress_artifact(percent, key=key, description=stage)
        else:
            update_progress_artifact(self.artifact, percent, description=stage)
        self.artifact_at = time.monotonic()

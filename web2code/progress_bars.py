"""Progress lines of a job as bars on a terminal, with rates and remaining time."""

from __future__ import annotations

import time
from datetime import timedelta
from types import TracebackType
from typing import Any

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
from rich.table import Column
from rich.text import Text

from web2code.progress import parse

PLAIN_LINES = 4
PLAIN_SECONDS = 10.0


class RateColumn(ProgressColumn):
    """How many are done in a second."""

    def render(self, task: Task) -> Text:
        """The rate of the last half minute, or over all once it is done."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


FIGURES = (MofNCompleteColumn, RateColumn, TimeElapsedColumn, TimeRemainingColumn)


class BeginningColumn(ProgressColumn):
    """The text of the line, or on a narrow terminal its beginning: the figures beside it keep their width."""

    def render(self, task: Task) -> Text:
        """In one line."""
        return Text(task.fields["text"], no_wrap=True, overflow="ellipsis")


class ProgressBars:
    """Shows the progress lines of one job; where output is no terminal, a plain line at each quarter.

    A stage whose total is not known gets a bar that moves, or a plain line every `PLAIN_SECONDS`.
    """

    def __init__(self) -> None:
        console = Console()
        self.plain = not console.is_terminal
        self.bars = Progress(
            TextColumn("  {task.description:<16}"), BarColumn(bar_width=20),
            *(kind(table_column=Column(no_wrap=True)) for kind in FIGURES), BeginningColumn(),
            console=console, disable=self.plain,
        )  # fmt: skip
        self.rows: dict[str, Any] = {}
        self.quarters: dict[str, int] = {}
        self.plain_at: dict[str, float] = {}

    def __enter__(self) -> ProgressBars:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def show(self, line: str) -> dict | None:
        """Take one line of the job's log; returns its progress, or None where it carries none."""
        if (progress := parse(line)) is None:
            return None
        stage, done, total, text = progress["stage"], progress["done"], progress["total"], progress["text"]
        if stage not in self.rows:
            self.rows[stage] = self.bars.add_task(stage, total=total, text="")
        self.bars.update(self.rows[stage], completed=done, total=total, text=text)
        if self.plain and self._is_due(stage, done, total):
            print(f"  {stage}: {done}{'' if total is None else f'/{total}'} {text}{self._eta(stage)}", flush=True)
        return progress

    def _eta(self, stage: str) -> str:
        """The time that remains, as the bars tell it."""
        seconds = self.bars.tasks[self.rows[stage]].time_remaining
        return f" · ETA {timedelta(seconds=round(seconds))}" if seconds else ""

    def _is_due(self, stage: str, done: int, total: int | None) -> bool:
        if total is None:
            now = time.monotonic()
            due = now - self.plain_at.setdefault(stage, now) >= PLAIN_SECONDS
            self.plain_at[stage] = now if due else self.plain_at[stage]
            return due
        quarter = PLAIN_LINES * done // max(total, 1)
        due = quarter > self.quarters.get(stage, 0)
        self.quarters[stage] = max(quarter, self.quarters.get(stage, 0))
        return due

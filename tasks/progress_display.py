"""A job's progress as a bar on the terminal and as an artifact in Prefect's UI."""

from __future__ import annotations

import time
from types import TracebackType
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import get_run_context
from prefect.exceptions import MissingContextError

from web2code.progress_bars import ProgressBars

ARTIFACT_SECONDS = 3.0


class ProgressDisplay:
    """Shows the progress lines of the job called `name`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bars = ProgressBars()
        self.artifact: UUID | None = None
        self.artifact_at = 0.0

    def __enter__(self) -> ProgressDisplay:
        self.bars.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.__exit__(kind, error, trace)

    def show(self, line: str) -> dict | None:
        """Take one line of the job's log; returns its progress, or None where it carries none."""
        if (progress := self.bars.show(line)) and progress["total"] is not None:
            self._update_artifact(progress["stage"], progress["done"], progress["total"])
        return progress

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

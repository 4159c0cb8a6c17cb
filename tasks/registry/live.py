"""A stage's steps in MLflow while it trains, logged by a thread that training does not wait for."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any

from tasks.registry.alone import alone
from tasks.registry.keys import KEY_TAG, STAGE_TAG, run_key, run_name
from tasks.registry.reader import sqlite_path
from web2code.config import Recipe
from web2code.services import mlflow_store

INTERVAL_SECONDS = 5.0
# How long the end of a stage waits for its last steps.
PATIENCE_SECONDS = 10.0

Measured = dict[str, float]


class LiveSteps:
    """Logs the steps of a candidate's stage, in the run that its registration goes on with.

    A context: its end waits a little for what is still to be logged. A store that fails is told once and asked again;
    what it never takes is left to the registration.
    """

    def __init__(self, home: Path, recipe: Recipe, candidate: str, stage: str) -> None:
        """`candidate` is the fingerprint of the recipe's last stage."""
        self.home, self.recipe, self.candidate, self.stage = home, recipe, candidate, stage
        self.store = mlflow_store(home)
        self.steps: deque[Measured] = deque()
        self.ended, self.warned = threading.Event(), False
        self.thread: threading.Thread | None = None

    def __enter__(self) -> LiveSteps:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        if self.thread:
            self.thread.join(PATIENCE_SECONDS)
            if self.thread.is_alive():
                self._warn("it does not answer")

    def take(self, progress: dict[str, Any]) -> None:
        """Take the steps that a progress line tells of, and return at once."""
        self.steps.extend(progress.get("metrics", ()))
        if self.steps and self.thread is None:
            self.thread = threading.Thread(target=self._log, name="live-steps", daemon=True)
            self.thread.start()

    def _log(self) -> None:
        pending: dict[int, Measured] = {}
        run, pause, ended = None, 0.0, False
        while not ended:
            ended, pause = self.ended.wait(pause), INTERVAL_SECONDS
            while self.steps:
                # A step that was trained again, after a worker was lost, measured the same loss.
                step = self.steps.popleft()
                pending.setdefault(int(step["step"]), step)
            try:
                run = run or _Run(self)
                run.log(pending)
                pending = {}
            except Exception as error:  # whatever it is: training goes on without it
                self._warn(str(error).partition("\n")[0])

    def _warn(self, reason: str) -> None:
        if not self.warned:
            self.warned = True
            print(f"warning: MLflow at {self.store} does not take the steps of {self.stage}: {reason}", flush=True)


def fail_run(home: Path, recipe: Recipe, candidate: str) -> None:
    """Say of a candidate's run that it failed, where it is in progress; a store that fails itself is left alone."""
    store = mlflow_store(home)
    if (database := sqlite_path(store)) and not database.exists():
        return
    try:
        from tasks.registry import tracking  # MLflow takes seconds to import

        client = tracking.open_store(store)
        run = tracking.find_run(client, recipe.name, KEY_TAG, run_key(recipe.model_name, candidate))
        if run and run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "FAILED")
    except Exception as error:  # what ended the run is what matters
        print(f"warning: MLflow's run of {candidate} stays in progress: {str(error).partition(chr(10))[0]}", flush=True)


class _Run:
    """The candidate's run, found or made."""

    def __init__(self, live: LiveSteps) -> None:
        from tasks.registry import tracking  # MLflow takes seconds to import

        self.tracking, self.stage = tracking, live.stage
        key = run_key(live.recipe.model_name, live.candidate)
        name = run_name(live.recipe.name, live.candidate)
        tags = {KEY_TAG: key, STAGE_TAG: live.candidate}
        with alone(live.home):
            self.client = tracking.open_store(live.store)
            self.run = tracking.open_run(self.client, live.recipe.name, name, KEY_TAG, tags).info.run_id
        self.logged = tracking.logged_steps(self.client, self.run, live.stage)

    def log(self, steps: dict[int, Measured]) -> None:
        new = [step for number, step in steps.items() if number not in self.logged]
        self.tracking.log_steps(self.client, self.run, self.stage, new)
        self.logged.update(steps)

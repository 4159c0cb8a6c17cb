"""A stage's steps as Prometheus metrics, which Ray's agent on every machine exports."""

from __future__ import annotations

import threading
import time

from ray.util.metrics import Gauge

PREFIX = "web2code_train_"
# Ray exports what was set since it last did, and forgets it after two times its interval, ten seconds by default.
AGAIN_SECONDS = 1.0


class StepGauges:
    """Shows the newest step of a stage, as `ray_web2code_train_NAME` with its stage and job (docs/metrics.md)."""

    def __init__(self, stage: str, job: str) -> None:
        self.labels = {"stage": stage, "job": job}
        self.gauges: dict[str, Gauge] = {}
        self.newest: dict[str, float] = {}

    def show(self, step: int, num_steps: int, metrics: dict[str, float]) -> None:
        """What step number `step` of `num_steps` measured, by name; what follows a slash becomes a label."""
        first, self.newest = not self.newest, {"step": step, "steps": num_steps, **metrics}
        if first:
            threading.Thread(target=self._keep_showing, name="step-gauges", daemon=True).start()

    def _keep_showing(self) -> None:
        """However long the next step takes."""
        while True:
            for name, value in self.newest.items():
                kind, _, source = name.partition("/")
                labels = self.labels | ({"source": source} if source else {})
                if kind not in self.gauges:
                    self.gauges[kind] = Gauge(PREFIX + kind, tag_keys=tuple(labels))
                self.gauges[kind].set(value, tags=labels)
            time.sleep(AGAIN_SECONDS)

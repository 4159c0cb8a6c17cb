"""What a stage has been through."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean, median

from web2code.config import StageMeasurements
from web2code.training.measurements import SOURCE_LOSS

# Steps that a loss at the end of a stage is the mean of.
LAST_STEPS = 10


@dataclass
class History:
    """Figures of the finished steps of `num_steps`, saved with checkpoints.

    Losses are nats a token, averaged over all workers. Steps count from 1 in `skipped` (those without an update, whose
    loss is that of the step before where it was not finite) and in `spikes`. `num_workers` has the numbers of workers
    that trained the stage, in turn; `held_out` has pairs of a step and the loss after it, of the samples that training
    leaves out; `metrics` are what each step measured, by name.
    """

    num_steps: int
    losses: list[float]
    learning_rates: list[float]
    skipped: list[int] = field(default_factory=list)
    spikes: list[int] = field(default_factory=list)
    seconds: float = 0.0
    first_step_at: float = 0.0
    resumed_from_step: int = 0
    num_workers: list[int] = field(default_factory=list)
    held_out: list[tuple[int, float]] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)

    def best_step(self) -> int:
        """The step after which the held-out loss was lowest; 0 where none was measured."""
        return min(self.held_out, key=lambda measured: measured[1])[0] if self.held_out else 0

    def measurements(self) -> StageMeasurements:
        """All steps in one figure for each metric; what is not finite is passed over."""
        found: dict[str, list[float]] = {}
        for step in self.metrics:
            for name, value in step.items():
                if math.isfinite(value):
                    found.setdefault(name, []).append(value)
        medians = {name: median(found[name]) for name in StageMeasurements.model_fields if name in found}
        by_source = {
            name.removeprefix(SOURCE_LOSS): (losses[0], fmean(losses[-LAST_STEPS:]))
            for name, losses in found.items()
            if name.startswith(SOURCE_LOSS)
        }
        return StageMeasurements.model_validate(
            medians | {"memory_bytes": round(max(found["memory_bytes"])), "source_losses": by_source}
        )

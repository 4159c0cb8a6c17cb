"""What a stage has been through."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class History:
    """Figures of the finished steps of `num_steps`, saved with checkpoints.

    Losses are nats a token, averaged over all workers. Steps count from 1 in `skipped` (those without an update, whose
    loss is that of the step before where it was not finite) and in `spikes`.
    """

    num_steps: int
    losses: list[float]
    learning_rates: list[float]
    skipped: list[int] = field(default_factory=list)
    spikes: list[int] = field(default_factory=list)
    seconds: float = 0.0
    first_step_at: float = 0.0
    resumed_from_step: int = 0

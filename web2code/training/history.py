"""What a stage has been through."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class History:
    """Figures of the finished steps of `num_steps`, saved with checkpoints.

    Losses are nats a token, averaged over all workers.
    """

    num_steps: int
    losses: list[float]
    learning_rates: list[float]
    seconds: float = 0.0
    first_step_at: float = 0.0
    resumed_from_step: int = 0

"""What a stage has been through."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class History:
    """Figures of every finished step, saved with checkpoints. Losses are nats a token, averaged over all workers."""

    losses: list[float]
    learning_rates: list[float]
    seconds: float = 0.0
    first_step_at: float = 0.0
    resumed_from_step: int = 0

"""What a stage has been through."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class History:
    """Figures of the finished steps of `num_steps`, saved with checkpoints.

    Losses are nats a token, averaged over all workers; `held_out` has pairs of a step and the loss after it, of the
    samples that training leaves out. `num_workers` has the numbers of workers that trained the stage, in turn.
    """

    num_steps: int
    losses: list[float]
    learning_rates: list[float]
    seconds: float = 0.0
    first_step_at: float = 0.0
    resumed_from_step: int = 0
    num_workers: list[int] = field(default_factory=list)
    held_out: list[tuple[int, float]] = field(default_factory=list)

    def best_step(self) -> int:
        """The step after which the held-out loss was lowest; 0 where none was measured."""
        return min(self.held_out, key=lambda measured: measured[1])[0] if self.held_out else 0

"""What is done about a step whose loss or gradient is not finite, or whose loss is far above those before it."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median

from web2code.config import StageConfig
from web2code.training.history import History

# How many losses a new one is compared with.
WINDOW = 32
# Of normally distributed numbers, their standard deviation as a multiple of the median step between two of them.
DEVIATION = 1.0483


def is_spike(losses: list[float], loss: float, deviations: float) -> bool:
    """Whether a finite loss lies that many robust standard deviations above the median of the last losses.

    They are estimated from the steps between neighbours, which hardly change when the loss falls. Medians are not moved
    by the spikes that the last losses may hold themselves. A hundredth of the median counts as a deviation at least, so
    that a loss that hardly moves any more has no spikes.
    """
    last = losses[-WINDOW:]
    if len(last) < WINDOW or not math.isfinite(loss):
        return False
    middle = median(last)
    spread = max(DEVIATION * median(abs(one - other) for one, other in pairwise(last)), 0.01 * middle)
    return loss - middle > deviations * spread


def is_refused(stage: StageConfig, history: History, loss: float) -> bool:
    """Whether the next step's update is to be left out for its loss."""
    return stage.guard.spike == "skip" and is_spike(history.losses, loss, stage.guard.spike_deviations)


def enter(stage: StageConfig, history: History, loss: float, rate: float, is_updated: bool) -> str:
    """Add a step to the history; `is_updated` tells whether it changed the weights. Returns a warning, or nothing.

    DeepSpeed leaves out the update of a gradient that is not finite. A few such steps in a row may be bad luck; more of
    them, the very first step, or an update in spite of such a loss end the stage.

    Raises:
        FloatingPointError: the stage ends here; the message says what happened in which steps, and what to do.
    """
    step = len(history.losses) + 1
    is_finite = math.isfinite(loss)
    if spike := is_spike(history.losses, loss, stage.guard.spike_deviations):
        history.spikes.append(step)
    if not is_updated:
        history.skipped.append(step)
    first = _begin(history.skipped, step)
    if (
        (spike and stage.guard.spike == "stop")
        or (not is_updated and step - first >= stage.guard.max_skipped)
        or (not is_finite and (is_updated or step == 1))
    ):
        raise FloatingPointError(
            f"{_describe(stage, history, loss, spike)}: lower {stage.name}.learning_rate (now {rate:g}), or look for "
            f"broken samples in steps {first} to {step}; the checkpoints are kept"
        )
    warning = "" if is_updated and not spike else _describe(stage, history, loss, spike)
    history.losses.append(loss if is_finite else history.losses[-1])
    history.learning_rates.append(rate)
    return warning and f"{warning}; its update was {'made' if is_updated else 'left out'}"


def _describe(stage: StageConfig, history: History, loss: float, spike: bool) -> str:
    what = f"{stage.name}: the loss of step {len(history.losses) + 1} is {loss:.4g}"
    if spike:
        return f"{what}, far above the {median(history.losses[-WINDOW:]):.4g} of the steps before"
    return f"{what}, and its gradient not finite" if math.isfinite(loss) else what


def _begin(steps: list[int], last: int) -> int:
    """The first of the consecutive steps that lead up to `last`."""
    while last - 1 in steps:
        last -= 1
    return last

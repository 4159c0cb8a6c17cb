import dataclasses
import json
import math
import random
import shutil

import numpy as np
import pytest
import torch
from transformers import LlavaForConditionalGeneration

from web2code.config import GuardConfig, StageConfig
from web2code.training.guard import WINDOW, enter, is_refused, is_spike
from web2code.training.history import History
from web2code.training.order import Order

STAGE = StageConfig(
    name="instruct", trainable=("projector", "language_model", "vision_tower"), zero_stage=2,
    template="user_assistant", steps=42, global_batch=8, learning_rate=5e-3, checkpoint_every=40,
)  # fmt: skip
DEVIATIONS = GuardConfig().spike_deviations


def with_guard(**changes) -> StageConfig:
    return StageConfig(**{**STAGE.model_dump(), "guard": changes})


def curve(num_steps: int, seed: int = 0) -> list[float]:
    """Losses as the demo's are: falling, noisy, one batch in twenty of another kind."""
    rng = random.Random(seed)
    return [
        (0.6 + 1.7 * math.exp(-step / 60) + rng.gauss(0, 0.03)) * (1.2 if rng.random() < 0.05 else 1.0)
        for step in range(num_steps)
    ]


def run(stage: StageConfig, losses: list[float], updated: list[bool] | None = None) -> History:
    history = History(len(losses), [], [])
    for loss, is_updated in zip(losses, updated or [True] * len(losses), strict=True):
        enter(stage, history, loss, 1e-3, is_updated)
    return history


@pytest.mark.parametrize("seed", range(5))
def test_a_usual_loss_curve_has_no_spikes_and_a_doubled_loss_is_one(seed):
    losses = curve(1000, seed)
    assert run(STAGE, losses).spikes == []
    for step in (300, 500, 999):
        assert is_spike(losses[:step], 2 * losses[step], DEVIATIONS)
    assert not is_spike(losses[: WINDOW - 1], 100.0, DEVIATIONS)
    assert not is_spike(losses, math.nan, DEVIATIONS)
    assert not is_spike([0.5] * 100, 0.51, DEVIATIONS)


def test_a_second_spike_is_seen_beside_the_first():
    losses = curve(100)
    losses[60] = losses[70] = 9.0
    assert run(STAGE, losses).spikes == [61, 71]


def test_some_updates_may_be_left_out_in_a_row_and_one_more_ends_the_stage():
    lost = [True, False, False, False, True, False, False, False, True]
    history = run(STAGE, [3.0, math.nan, math.inf, 2.9, 2.8, math.nan, math.nan, math.nan, 2.7], lost)
    assert history.skipped == [2, 3, 4, 6, 7, 8]
    assert history.losses == [3.0, 3.0, 3.0, 2.9, 2.8, 2.8, 2.8, 2.8, 2.7]
    for step in range(9, 12):
        assert "left out" in enter(STAGE, history, math.nan, 1e-3, False), step
    with pytest.raises(FloatingPointError, match=r"step 13 is nan.*learning_rate \(now 0\.001\).*steps 10 to 13"):
        enter(STAGE, history, math.nan, 1e-3, False)


@pytest.mark.parametrize(
    ("stage", "losses", "updated"),
    [
        (STAGE, [math.nan], [False]),
        (STAGE, [3.0, math.nan], [True, True]),
        (with_guard(max_skipped=0), [3.0, math.inf], [True, False]),
        (with_guard(max_skipped=0), [3.0, 2.9], [True, False]),
        (with_guard(spike="stop"), [*curve(50), 9.0], [True] * 51),
    ],
)  # fmt: skip
def test_what_ends_the_stage_at_once(stage, losses, updated):
    history = run(stage, losses[:-1], updated[:-1])
    with pytest.raises(FloatingPointError, match=f"instruct: the loss of step {len(losses)} is"):
        enter(stage, history, losses[-1], 1e-3, updated[-1])


def test_a_resumed_run_decides_as_the_undisturbed_one():
    stage = with_guard(spike="skip")
    losses = curve(200)
    for step in (50, 51, 120, 199):
        losses[step] = 5.0
    whole = History(200, [], [])
    for step, loss in enumerate(losses):
        resumed = History(**json.loads(json.dumps(dataclasses.asdict(whole))))
        assert is_refused(stage, resumed, loss) == is_refused(stage, whole, loss)
        is_updated = not is_refused(stage, whole, loss)
        assert enter(stage, resumed, loss, 1e-3, is_updated) == enter(stage, whole, loss, 1e-3, is_updated)
        assert resumed == whole, step
    assert whole.skipped == whole.spikes == [51, 52, 121, 200]


def test_a_stage_whose_optimizer_cannot_skip_is_refused():
    with pytest.raises(ValueError, match=r"guard\.spike=skip needs a zero_stage"):
        StageConfig(**{**STAGE.model_dump(), "zero_stage": 0, "precision": "fp32", "guard": {"spike": "skip"}})


def train(stage, prepared, arrays, checkpoints):
    """Train the small model; returns the history, and by step the weights from step 40 on."""
    from deepspeed.utils import safe_get_full_fp32_param

    from web2code.training.loop import train_stage

    model = LlavaForConditionalGeneration.from_pretrained(prepared / "base", dtype=torch.float32)
    weights = {}

    def on_step(step, history):
        if step >= 40:
            weights[step] = [safe_get_full_fp32_param(each).clone() for each in model.parameters()]

    _, history = train_stage(model, stage, arrays, 0, checkpoints, on_step)
    return history, weights


def with_other_answers(arrays, samples):
    """The arrays, with nothing in some samples as it was learned."""
    tokens = np.array(arrays.tokens)
    for sample in samples:
        end = arrays.offsets[sample] + arrays.lengths[sample]
        answer = slice(end - arrays.label_counts[sample], end)
        tokens[answer] = 10 + tokens[answer] * 7919 % 300
    return dataclasses.replace(arrays, tokens=tokens)


@pytest.mark.parametrize("zero_stage", [2, 3])
def test_a_spike_is_followed_by_what_the_stage_says(alone, prepared, arrays, tmp_path, zero_stage):
    stages = {
        spike: StageConfig(**{**STAGE.model_dump(), "zero_stage": zero_stage, "guard": {"spike": spike}})
        for spike in ("warn", "skip", "stop")
    }
    undisturbed, learned = train(stages["warn"], prepared, arrays, tmp_path)
    assert undisturbed.skipped == undisturbed.spikes == []
    order = Order(arrays, stages["warn"], seed=0)
    broken = with_other_answers(arrays, order.batch(40))

    def go_on(spike):
        """From step 40, with a broken batch in step 41."""
        shutil.copytree(tmp_path / "step-00000040-by-1", tmp_path / spike / "step-00000040-by-1")
        return train(stages[spike], prepared, broken, tmp_path / spike)

    warned, weights = go_on("warn")
    assert 41 in warned.spikes
    assert warned.skipped == []
    assert not same(weights[41], learned[40])
    skipped, weights = go_on("skip")
    assert skipped.spikes == skipped.skipped == [41]
    assert same(weights[41], learned[40])
    assert not same(weights[42], weights[41])
    assert skipped.losses[41] == pytest.approx(undisturbed.losses[41], abs=0.1)
    with pytest.raises(FloatingPointError, match=r"step 41 is .* far above"):
        go_on("stop")


def same(one, other):
    return all(left.equal(right) for left, right in zip(one, other, strict=True))


def test_a_rate_that_is_far_too_high_ends_in_a_sentence(alone, prepared, arrays, tmp_path):
    stage = StageConfig(**{**STAGE.model_dump(), "learning_rate": 1e30})
    with pytest.raises(FloatingPointError, match=r"lower instruct.learning_rate \(now 9\.8\d+e\+29\)"):
        train(stage, prepared, arrays, tmp_path)

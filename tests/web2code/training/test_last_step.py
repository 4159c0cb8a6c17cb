"""A stage that ends after its last step and before its weights are saved goes on from that step."""

import pytest
import torch

from tests.web2code.training.workers import STAGE, WILD
from web2code.config import StageConfig
from web2code.modelling.llava import load_model
from web2code.training.loop import train_stage, trained_weights

STAGES = {
    f"zero{zero_stage}-{precision}": {"zero_stage": zero_stage, "precision": precision}
    for zero_stage, precision in ((0, "fp32"), (1, "bf16"), (2, "fp32"), (3, "fp32"), (3, "bf16"))
} | {"best": WILD}


def train(stage, prepared, arrays, folder):
    """The steps that were made, the history, and the weights."""
    made = []
    model = load_model(prepared / "base", torch.float32)
    engine, history = train_stage(model, stage, arrays, 0, folder, lambda step, history: made.append(step))
    return made, history, trained_weights(engine)


@pytest.mark.parametrize("name", STAGES)
def test_what_has_made_its_last_step_makes_none_again(alone, prepared, arrays, tmp_path, name):
    stage = StageConfig.model_validate(STAGE.model_dump() | STAGES[name])
    made, expected, expected_weights = train(stage, prepared, arrays, tmp_path)
    assert made == list(range(1, stage.steps + 1))
    assert expected.best_step() < stage.steps, "the last step is the best: nothing is shown"
    made, history, weights = train(stage, prepared, arrays, tmp_path)
    assert made == []
    assert history.resumed_from_step == stage.steps
    assert history.losses == expected.losses
    assert [tuple(each) for each in history.held_out] == expected.held_out
    assert weights.keys() == expected_weights.keys()
    assert all(torch.equal(weight, expected_weights[key]) for key, weight in weights.items())

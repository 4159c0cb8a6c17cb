"""A machine is about to be taken away: what was trained until then is saved at once."""

import time

import pytest
import torch

from web2code.config import StageConfig
from web2code.modelling.llava import load_model
from web2code.training import loop
from web2code.training.loop import train_stage, trained_weights

STAGE = StageConfig(
    name="instruct", trainable=("projector", "language_model"), zero_stage=2, template="user_assistant", steps=6,
    global_batch=8, learning_rate=5e-3, checkpoint_every=100,
)  # fmt: skip
NOTICE, GONE = 3, 5


class MachineGone(Exception):
    pass


def train(prepared, arrays, folder, notice=0, gone=0):
    """Weights and history of a stage whose machine gets notice after one step, and goes after another."""
    asked = []

    def is_leaving():
        asked.append(len(asked) + 1)
        return asked[-1] == notice

    def on_step(step, history):
        if step == gone:
            raise MachineGone

    model = load_model(prepared / "base", torch.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "ASKED_EVERY", 0.0)  # steps take no seconds here
        return trained(model, arrays, folder, on_step, is_leaving)


def trained(model, arrays, folder, on_step, is_leaving):
    engine, history = train_stage(model, STAGE, arrays, 0, folder, on_step, is_leaving=is_leaving)
    return trained_weights(engine), history


@pytest.fixture(scope="module")
def undisturbed(alone, prepared, arrays, tmp_path_factory):
    return train(prepared, arrays, tmp_path_factory.mktemp("undisturbed"))


def assert_same(found, expected):
    assert found[1].losses == expected[1].losses
    assert expected[0].keys() == found[0].keys()
    assert all(torch.equal(found[0][name], weight) for name, weight in expected[0].items())


def test_a_notice_saves_its_step_and_training_goes_on(undisturbed, prepared, arrays, tmp_path):
    warned = train(prepared, arrays, tmp_path, notice=NOTICE)
    saved = sorted(path.name for path in tmp_path.iterdir())
    assert saved == [f"step-{step:08}-by-1" for step in (NOTICE, STAGE.steps)]
    assert_same(warned, undisturbed)


def test_when_the_machine_is_gone_another_goes_on_from_the_step_of_the_notice(undisturbed, prepared, arrays, tmp_path):
    with pytest.raises(MachineGone):
        train(prepared, arrays, tmp_path, notice=NOTICE, gone=GONE)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*/manifest-0.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    resumed = train(prepared, arrays, tmp_path)
    assert resumed[1].resumed_from_step == NOTICE
    assert_same(resumed, undisturbed)

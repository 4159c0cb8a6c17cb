"""Stages with adapters on two workers, in the training loop itself."""

import json

import pytest
import torch
from safetensors.torch import load_file

from tests.web2code.modelling.test_adapters import logits
from tests.web2code.training.adapted_worker import CASES, LORA, work
from tests.web2code.training.conftest import make_prepared
from tests.web2code.training.processes import run
from web2code.modelling.adapters import REST_FILE, merge_adapters
from web2code.modelling.llava import load_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make_prepared(tmp_path_factory.mktemp("adapted"))
    run(work, (0, folder), (1, folder))
    return folder


def results(folder, name):
    """What a run noted, and its trained weights."""
    return json.loads((folder / f"{name}.json").read_text()), torch.load(folder / f"{name}.pt", weights_only=True)


@pytest.mark.parametrize("name", CASES)
def test_adapters_and_projector_learn(folder, name):
    noted, weights = results(folder, f"{name}-whole")
    losses = noted["losses"]
    assert len(losses) == 10
    # The output layer of a random language model is frozen, so that it cannot learn much.
    assert sum(losses[-3:]) / 3 < sum(losses[:3]) / 3 - 0.1
    assert all(".lora_" in key or "multi_modal_projector" in key for key in weights)
    # Two layers of seven adapters of two matrices, and the projector's two with their biases.
    assert len(weights) == 2 * 7 * 2 + 4
    assert all(weight.any() for key, weight in weights.items() if ".lora_B" in key)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("run", "step"), [("resumed", 8), ("ended", 10)])
def test_gone_on_from_a_checkpoint_it_ends_with_the_same_weights(folder, name, run, step):
    whole, expected = results(folder, f"{name}-whole")
    noted, weights = results(folder, f"{name}-{run}")
    assert noted["resumed"] == step
    assert noted["losses"] == whole["losses"]
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[key], expected[key]) for key in expected)


@pytest.mark.parametrize("name", CASES)
def test_layers_are_computed_again_in_the_backward_pass(folder, name):
    noted, _ = results(folder, f"{name}-whole")
    # Ten steps of two micro batches, forwards and once more backwards.
    assert noted["passes"] == 10 * 2 * 2


@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_holds_what_is_trained_and_nothing_else(folder, name):
    _, weights = results(folder, f"{name}-whole")
    files = sorted((folder / f"{name}-checkpoints").glob("*/*/*model_states.pt"))
    assert files
    for file in files:
        state = torch.load(file, weights_only=False)
        assert {key.removeprefix("llava.") for key in state["module"]} == set(weights)
        assert not state["frozen_param_fragments"]


@pytest.mark.parametrize("name", CASES)
def test_what_was_trained_is_merged_into_a_model_that_needs_no_adapters(folder, name):
    from peft import PeftModel

    _, weights = results(folder, f"{name}-whole")
    lora = LORA.model_copy(update={"four_bit": name == "four_bits"})
    base = load_model(folder / "base", torch.float32)
    merged = merge_adapters(load_model(folder / "base", torch.float32), lora, weights, torch.device("cpu"))
    merged.save_pretrained(folder / f"{name}-merged")
    loaded = load_model(folder / f"{name}-merged", torch.float32)
    changed = {key for key, value in loaded.state_dict().items() if not torch.equal(value, base.state_dict()[key])}
    assert {key.partition(".lora_")[0] + ".weight" for key in weights if ".lora_" in key} <= changed
    if name == "four_bits":  # which is saved in bfloat16, all of it
        return
    assert all("multi_modal_projector" in key or "_proj.weight" in key for key in changed)
    base.load_state_dict(load_file(folder / f"{name}-whole-adapter" / REST_FILE), strict=False)
    beside = PeftModel.from_pretrained(base, folder / f"{name}-whole-adapter")
    torch.testing.assert_close(logits(loaded), logits(beside), rtol=0, atol=1e-5)

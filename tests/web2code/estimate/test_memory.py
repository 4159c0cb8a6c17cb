"""The estimate beside what training really takes, beside DeepSpeed's own, and beside published facts."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.web2code.estimate.measure import DTYPES, toy_config
from web2code.config import LoraConfig
from web2code.estimate.memory import Setup, count_parameters, mask_bytes, stage_memory
from web2code.estimate.tracing import Activations, count_flops, stage_model, trace_loss, trace_memory
from web2code.modelling.llava import llava_config
from web2code.recipes import RECIPES

ROOT = Path(__file__).parents[3]
CASES = [
    {"recipe": "llava15_7b", "stage": "align"},
    {"recipe": "llava15_7b", "stage": "align", "checkpointing": True},
    {"recipe": "llava15_7b", "stage": "instruct"},
    {"recipe": "llava15_7b", "stage": "instruct", "checkpointing": True},
    {"recipe": "llava15_7b", "stage": "instruct", "precision": "bf16"},
    {"recipe": "llama3_8b_web2code", "stage": "instruct"},
    {"recipe": "crystalchat_7b_web2code", "stage": "instruct", "checkpointing": True},
    {"recipe": "llavar2_3_8b", "stage": "instruct", "checkpointing": True},
    {"recipe": "llava15_7b", "stage": "instruct", "lora": True, "checkpointing": True},
    {"recipe": "llava15_7b", "stage": "instruct", "packed": True, "attention": "varlen"},
    {"recipe": "llava15_7b", "stage": "instruct", "packed": True, "attention": "varlen", "checkpointing": True},
    {"recipe": "crystalchat_7b_web2code", "stage": "instruct", "packed": True, "attention": "varlen"},
    {"recipe": "llavar2_3_8b", "stage": "instruct", "packed": True, "attention": "varlen", "length": 24},
    {"recipe": "llava15_7b", "stage": "instruct", "packed": True},
    {"recipe": "llava15_7b", "stage": "instruct", "packed": True, "checkpointing": True},
    # Of so many words that the loss is what takes most, which is computed in two chunks.
    {"recipe": "llama3_8b_web2code", "stage": "instruct", "checkpointing": True, "micro_batch": 64, "vocab_size": 4096},
    {
        "recipe": "llama3_8b_web2code",
        "stage": "instruct",
        "checkpointing": True,
        "micro_batch": 64,
        "vocab_size": 4096,
        "packed": True,
        "attention": "varlen",
    },
]
CASES = [
    {
        "checkpointing": False,
        "precision": "fp32",
        "lora": False,
        "micro_batch": 8,
        "length": 104,
        "vocab_size": 320,
        "packed": False,
        "attention": "sdpa",
    }
    | case
    for case in CASES
]
NO_ACTIVATIONS = Activations(0, 0, 0)


@pytest.fixture(scope="module")
def measured():
    done = subprocess.run(
        [sys.executable, "-m", "tests.web2code.estimate.measure", json.dumps(CASES)],
        cwd=ROOT, text=True, capture_output=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def build(case):
    recipe = RECIPES[case["recipe"]]()
    lora = LoraConfig(rank=8) if case["lora"] else None
    trainable = getattr(recipe, case["stage"]).trainable
    return stage_model(toy_config(recipe, case), trainable, lora, DTYPES[case["precision"]])


@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_parts_are_what_training_takes(number, measured):
    case, real = CASES[number], measured[number]
    setup = Setup(
        num_devices=1, micro_batch=1, zero_stage=0, precision=case["precision"], checkpointing=case["checkpointing"],
        pack_tokens=case["micro_batch"] * case["length"] if case["packed"] else 0, attention=case["attention"],
    )  # fmt: skip
    model = build(case)
    traced = trace_memory(model, case["length"], case["checkpointing"])
    loss = trace_loss(model, case["micro_batch"] * (case["length"] - model.config.image_seq_length))
    mask = mask_bytes(setup, model.config.get_text_config().num_hidden_layers)
    traced = replace(traced, fixed=traced.fixed + mask, loss=loss + mask)
    memory = stage_memory(count_parameters(build(case)), traced, setup, case["micro_batch"])
    assert memory.weights == pytest.approx(real["weights"], rel=0.01)
    assert memory.gradients == pytest.approx(real["gradients"], rel=0.01)
    if case["precision"] == "fp32":  # in bfloat16 DeepSpeed holds float32 states, which plain torch does not
        assert memory.optimizer == pytest.approx(real["optimizer"], rel=0.01)
    print(case, (memory.activations + memory.transient) / real["peak"])
    assert real["peak"] <= memory.activations + memory.transient <= 1.25 * real["peak"]


def parameters(recipe="llava15_7b", stage="instruct"):
    recipe = RECIPES[recipe]()
    model = stage_model(llava_config(recipe.model), getattr(recipe, stage).trainable, None, torch.bfloat16)
    return count_parameters(model)


def states(counted, zero_stage, num_devices=1, **changes):
    setup = Setup(
        num_devices=num_devices, micro_batch=1, zero_stage=zero_stage, precision="bf16", checkpointing=True, **changes
    )
    return stage_memory(counted, NO_ACTIVATIONS, setup)


@pytest.mark.parametrize("num_devices", [1, 8, 64])
def test_states_are_those_that_deepspeed_estimates(num_devices):
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs

    counted = parameters()
    alike = counted.model_copy(
        update={"by_module": {"language_model": counted.by_module["language_model"]}, "small": 0}
    )
    _, zero2 = estimate_zero2_model_states_mem_needs(alike.total, num_devices, 1, cpu_offload=False)
    _, zero3, layer = estimate_zero3_model_states_mem_needs(alike.total, 0, num_devices, 1, cpu_offload=False)
    # Theirs have the float32 gradients of the optimizer's step, and under ZeRO-3 leave out those in bfloat16.
    gradients = 4 * alike.trained / num_devices
    assert states(alike, 2, num_devices).states + gradients == pytest.approx(zero2, rel=1e-6)
    assert states(alike, 3, num_devices).states + gradients / 2 == pytest.approx(zero3, rel=1e-6)
    assert layer == 0


def test_each_zero_stage_splits_one_more_part():
    counted = parameters()
    kept = [states(counted, stage, num_devices=8) for stage in (0, 1, 2, 3)]
    assert kept[0].optimizer == pytest.approx(8 * kept[1].optimizer, rel=1e-6)
    assert kept[1].gradients == pytest.approx(8 * kept[2].gradients, rel=1e-6)
    # Tensors of up to a million numbers stay whole.
    assert kept[3].weights == pytest.approx(kept[2].weights / 8 + 2 * counted.small, rel=1e-6)
    assert kept[2].weights == 2 * counted.total


@pytest.mark.parametrize(("zero_stage", "num_devices", "buckets"), [(0, 1, 0), (0, 2, 1), (1, 2, 2), (2, 1, 2)])
def test_one_bucket_of_gradients_is_filled_while_another_is_exchanged(zero_stage, num_devices, buckets):
    assert states(parameters(), zero_stage, num_devices).buffers == 2 * 500_000_000 * buckets


def test_a_frozen_model_needs_its_weights_and_little_more():
    memory = states(parameters(stage="align"), 2)
    assert memory.weights == 2 * 7_063_427_072
    assert memory.gradients + memory.optimizer == (2 + 12) * 20_979_712


def test_offloading_moves_the_optimizer_to_the_machine():
    counted = parameters()
    here, there = states(counted, 3, 8), states(counted, 3, 8, offload=True)
    assert there.weights == here.weights
    assert (there.gradients, there.optimizer, here.host) == (0, 0, 0)
    assert there.host == pytest.approx(16 * counted.trained / 8, rel=1e-6)


def test_four_bits_hold_the_linear_layers_of_the_language_model():
    counted = parameters(stage="align")
    assert counted.quantisable == 32 * (4 * 4096**2 + 3 * 4096 * 11_008)
    saved = states(counted, 2).weights - states(counted, 2, lora=LoraConfig(four_bit=True)).weights
    assert saved == pytest.approx(counted.quantisable * (2 - 0.516), rel=1e-3)


def test_gradient_checkpointing_keeps_less():
    case = CASES[1]
    kept, again = (trace_memory(build(case), 104, checkpointing).saved for checkpointing in (False, True))
    assert again < 0.3 * kept


def test_training_takes_six_operations_a_parameter_and_token():
    recipe = RECIPES["llava15_7b"]()
    flops = [
        count_flops(stage_model(llava_config(recipe.model), stage.trainable, None, torch.bfloat16), 900)
        for stage in (recipe.instruct, recipe.align)
    ]
    # The language model without its embeddings; the output layer sees text alone, and the tower runs forwards.
    matrices = 6_607_077_376 - 4096 * 32_064 * 576 / 900
    # Attention's two products, and five more backwards, in 32 layers.
    attention = 7 * 2 * 900**2 * 4096 * 32
    expected = [passes * matrices * 900 + attention + 2 * 303_507_456 * 577 for passes in (6, 4)]
    assert flops == pytest.approx(expected, rel=0.02)

"""NF4 on the CPU: the same layers as on a GPU, only slower."""

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from transformers.pytorch_utils import Conv1D

from tests.web2code.modelling.test_adapters import CPU, inputs, logits, small_model, train
from web2code.config import LoraConfig
from web2code.estimate.tracing import LiveBytes
from web2code.modelling.adapters import adapt, linear_layers, merge_adapters
from web2code.modelling.four_bits import quantise, round_to_four_bits

LORA = LoraConfig(rank=4, alpha=8, dropout=0, four_bit=True)
MODELS = ["vicuna-7b-v1.5", "crystalchat-7b"]


@pytest.mark.parametrize("language_model", MODELS)
def test_the_language_models_linear_layers_take_half_a_byte_for_each_weight(language_model):
    model = small_model(language_model)
    names = linear_layers(model)
    num_weights = sum(model.get_submodule(name).weight.numel() for name in names)
    others = {
        name: parameter for name, parameter in model.named_parameters() if name.removesuffix(".weight") not in names
    }
    quantise(model, names, CPU)
    assert sum(model.get_submodule(name).weight.nbytes for name in names) == num_weights / 2
    assert all(torch.equal(model.get_parameter(name), parameter) for name, parameter in others.items())


def test_one_layer_after_another_is_put_in_four_bits():
    """Of weights that lie in a file, no more than a layer's is in memory beside the four bits of the others."""
    layers = torch.nn.Sequential(*(torch.nn.Linear(1024, 1024) for _ in range(8)))
    with LiveBytes(layers.parameters()) as live:
        quantise(layers, [str(number) for number in range(8)], CPU)
    assert 8 * 1024**2 / 2 < live.now < 8 * 1024**2 * 0.52
    assert live.peak - live.now < 5 * 1024**2


@pytest.mark.parametrize("language_model", MODELS)
def test_rounded_weights_are_those_that_four_bits_hold(language_model):
    exact, held, rounded = (small_model(language_model) for _ in range(3))
    names = linear_layers(exact)
    quantise(held, names, CPU)
    round_to_four_bits(rounded, names, CPU)
    for name in names:
        weight, quantised, left = (model.get_submodule(name).weight for model in (exact, held, rounded))
        expected = dequantize_4bit(quantised.data, quantised.quant_state)
        if isinstance(exact.get_submodule(name), Conv1D):
            expected = expected.T
        assert torch.equal(left.to(torch.bfloat16), expected)
        # The widest gap between two of the sixteen values is 0.30 of a block's largest.
        assert 0 < (weight - left).abs().max() <= 0.16 * weight.abs().max()


@pytest.mark.parametrize("language_model", MODELS)
def test_merged_it_says_what_it_said_with_adapters_but_for_bfloat16(language_model):
    model = small_model(language_model)
    adapt(model, LORA, 0, CPU)
    weights = train(model)
    base = small_model(language_model)
    names = linear_layers(base)
    assert {name.partition(".lora_")[0] for name in weights if ".lora_" in name} == set(names)
    # As in training: for use on a CPU alone bitsandbytes has a kernel that computes in bfloat16.
    expected = model.train()(**inputs(model.config)).logits.detach()
    round_to_four_bits(base, names, CPU)
    exactly = merge_adapters(base, LORA.model_copy(update={"four_bit": False}), weights, CPU)
    torch.testing.assert_close(logits(exactly), expected, rtol=0, atol=1e-5)
    merged = merge_adapters(small_model(language_model), LORA, weights, CPU)
    rounded = exactly.to(torch.bfloat16).state_dict()
    assert all(torch.equal(value, rounded[name]) for name, value in merged.state_dict().items())
    torch.testing.assert_close(logits(merged.float()), expected, rtol=0, atol=0.01 * expected.abs().max().item())

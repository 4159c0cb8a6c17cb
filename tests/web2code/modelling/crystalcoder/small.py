"""A small CrystalCoder whose every parameter matters, and where the published files lie."""

from pathlib import Path

import torch
from torch.nn import functional

from web2code.modelling.crystalcoder import CrystalCoderConfig, CrystalCoderForCausalLM

PUBLISHED = Path(__file__).parents[5] / "shared" / "data" / "crystalcoder"
CONFIG = {"vocab_size": 64, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 40, "rotary_dim": 4}


def build(attention="sdpa", **changes):
    """A model in float64; biases and norms are random too."""
    config = CrystalCoderConfig(**CONFIG | changes, attn_implementation=attention)
    torch.manual_seed(0)
    return randomise(CrystalCoderForCausalLM(config).double().eval())


def randomise(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def tokens(*shape):
    return torch.randint(3, 60, shape, generator=torch.Generator().manual_seed(1))


def with_wider_heads(model, times):
    """The same function with heads of so many times the features: vLLM has no small ones on CPUs.

    Every state is written `times` times, which normalises alike; what a head is wider by is zero.
    """
    old, heads = model.config, model.config.n_head
    config = CrystalCoderConfig(
        **old.to_dict() | {"n_embd": times * old.n_embd, "mup_output_alpha": old.mup_output_alpha / times}
    )

    def read(weight):
        return weight if weight.ndim == 1 else weight.repeat(times, 1) / times

    def written(weight):
        return weight.repeat(*[1] * (weight.ndim - 1), times)

    def in_heads(features):
        split = features.unflatten(-1, (-1, old.n_embd // heads))
        return functional.pad(split, (0, (times - 1) * old.n_embd // heads)).flatten(-2)

    def queried(weight):
        query, keys_and_values = in_heads(weight).tensor_split([config.n_embd], dim=-1)
        return torch.cat([query * times, keys_and_values], dim=-1)  # scores are divided by the wider size

    weights = {}
    for name, weight in model.state_dict().items():
        if "c_attn" in name:
            weights[name] = queried(read(weight))
        elif name.endswith("attn.c_proj.weight"):
            weights[name] = written(in_heads(weight.T).T)
        elif "c_fc" in name:
            weights[name] = read(weight)
        else:
            weights[name] = written(weight)
    wide = CrystalCoderForCausalLM(config).to(model.dtype).eval()
    wide.load_state_dict(weights)
    return wide

"""A small CrystalCoder whose every parameter matters, and where the published files lie."""

from pathlib import Path

import torch

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

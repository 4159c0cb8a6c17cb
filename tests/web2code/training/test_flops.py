"""The formula beside torch's own counter, on toy copies of the published systems."""

from importlib.util import find_spec

import pytest
import torch

from web2code.config import LoraConfig
from web2code.estimate.tracing import count_flops, stage_model
from web2code.modelling.llava import llava_config, shrunken
from web2code.recipes import RECIPES
from web2code.training.flops import model_flops

LENGTH = 104
CASES = [
    ("llava15_7b", "align", False),
    ("llava15_7b", "instruct", False),
    ("llava15_7b", "instruct", True),
    ("crystalchat_7b_web2code", "instruct", False),
    ("llama3_8b_web2code", "instruct", False),
    ("llavar2_3_8b", "instruct", False),
]


@pytest.mark.parametrize(("recipe", "stage", "adapted"), CASES)
def test_a_sample_takes_what_the_counter_counts_but_half_the_attention(recipe, stage, adapted):
    if adapted and not find_spec("peft"):
        pytest.skip("peft is not installed")
    recipe = RECIPES[recipe]()
    config = shrunken(llava_config(recipe.model))
    trainable = getattr(recipe, stage).trainable

    def made():
        return stage_model(config, trainable, LoraConfig(rank=8) if adapted else None, torch.float32)

    learned = LENGTH - config.image_seq_length
    flops = model_flops(made())
    # The counter has attention as if it were full, and computes the forward products again backwards: 14 for our 6.
    attention = flops.square * LENGTH**2
    ours = flops.of(torch.tensor([LENGTH]).numpy(), learned, 1) - attention + 14 / 6 * attention
    assert ours == pytest.approx(count_flops(made(), LENGTH), rel=0.05)

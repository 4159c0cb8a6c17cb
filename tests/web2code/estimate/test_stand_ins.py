"""What a few layers say of all: full-size models of every kind, fewer of their layers run, and the same to the byte."""

import pytest
import torch
from transformers import FalconConfig, Qwen2Config

from web2code.estimate.pictures import Page
from web2code.estimate.plan import architecture
from web2code.estimate.stand_ins import LayerCost, alike_layers, stand_ins
from web2code.estimate.tracing import count_flops, stage_model, trace_memory
from web2code.modelling.llava import llava_config, shrunken
from web2code.recipes import RECIPES

ALL = ("projector", "vision_merge", "vision_tower", "language_model")
LAYERS = 5
# A page that is seen in a few windows.
PAGE = Page(image_tokens=64, height=224, width=224)


def build(recipe, trainable):
    """A recipe's model with fewer layers of text, which only saves the time of running all of them."""
    recipe = RECIPES[recipe]()
    config = architecture(recipe.model, PAGE)
    config.text_config.num_hidden_layers = LAYERS
    return stage_model(config, trainable, recipe.model.lora, torch.bfloat16)


def traces(model, length, checkpointing, in_full):
    return trace_memory(model, length, checkpointing, in_full), count_flops(model, length, in_full)


@pytest.mark.parametrize(("recipe", "trainable", "checkpointing"), [
    ("llava15_7b", ALL, True),
    ("llava15_7b_lora", ("projector", "language_model"), False),
    ("crystalchat_7b_web2code", ("projector",), False),
    ("llavar2_3_8b", ALL, False),
    ("qwen25_vl_7b", ("language_model",), True),
    ("qwen3_vl_8b", ALL, False),
])  # fmt: skip
def test_a_few_layers_say_what_all_of_them_take(recipe, trainable, checkpointing):
    model = build(recipe, trainable)
    length = model.config.image_seq_length + 100
    assert traces(model, length, checkpointing, False) == traces(model, length, checkpointing, True)


def build_toy(text_config):
    """A toy LLaVA with this language model."""
    config = shrunken(llava_config(RECIPES["llava15_7b"]().model))
    config.text_config = text_config
    config.image_token_index = text_config.vocab_size - 1
    return stage_model(config, ALL, None, torch.float32)


SMALL = {"vocab_size": 320, "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 9}


@pytest.mark.parametrize("text_config", [
    Qwen2Config(
        **SMALL, intermediate_size=128, num_key_value_heads=2, use_sliding_window=True, sliding_window=16,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"] * 3,
    ),
    # Its layers give tuples, and so have no stand-ins.
    FalconConfig(**SMALL, ffn_hidden_size=128),
], ids=["two kinds by turns", "tuples"])  # fmt: skip
def test_layers_that_are_not_alike_do_not_stand_in_for_each_other(text_config):
    model = build_toy(text_config)
    assert traces(model, 64, True, False) == traces(model, 64, True, True)


def sizes(model):
    return sorted(len(layers) for layers in alike_layers(model))


def test_layers_are_alike_where_they_work_alike():
    assert sizes(build("llava15_7b", ALL)) == [LAYERS, 24]
    # ConvNeXt's third stage; its other stages have three layers, none of which is between the others.
    assert sizes(build("llavar2_3_8b", ALL)) == [LAYERS, 24, 27]
    # Layers that attend to all patches, and those that attend within windows.
    assert sizes(build("qwen25_vl_7b", ALL)) == [4, LAYERS, 28]


def test_afterwards_all_layers_run_again():
    model = build("llava15_7b", ALL)
    layers = model.model.language_model.layers
    with stand_ins(model, lambda layer, states: LayerCost()) as groups:
        assert [number for number, layer in enumerate(layers) if "forward" in vars(layer)] == [1, 2]
        assert sum(len(group.between) for group in groups) == LAYERS - 3 + 24 - 3
    assert not any("forward" in vars(module) for module in model.modules())


def test_a_trace_leaves_nothing_to_the_next():
    """With checkpointing transformers gives even a frozen tower's embeddings a gradient."""

    def fresh():
        config = shrunken(llava_config(RECIPES["llava15_7b"]().model))
        return stage_model(config, ("projector",), None, torch.bfloat16)

    model = fresh()
    trace_memory(model, 64, True)
    assert traces(model, 64, False, False) == traces(fresh(), 64, False, False)
    assert trace_memory(model, 64, True) == trace_memory(fresh(), 64, True)

"""Layers that are computed again: the same gradients, and nothing for what is frozen."""

import pytest
import torch

from tests.web2code.training.test_recipe_stages import toy_batch
from web2code.modelling.adapters import adapt
from web2code.modelling.llava import llava_config, model_class, shrunken
from web2code.recipes import RECIPES
from web2code.training.gradient_checkpointing import checkpoint_layers
from web2code.training.loss import AnswerLoss
from web2code.training.trainable import set_trainable


@pytest.mark.parametrize("stage", ["align", "instruct"])
@pytest.mark.parametrize("recipe", ["llava15_7b", "llava15_7b_lora", "crystalchat_7b_web2code"])
def test_a_frozen_tower_keeps_nothing_and_gradients_are_the_same(recipe, stage):
    chosen = RECIPES[recipe]()
    trainable = getattr(chosen, stage).trainable
    config = shrunken(llava_config(chosen.model))
    torch.manual_seed(0)
    model = model_class(config)(config).train()
    if chosen.model.lora and "language_model" in trainable:
        adapt(model, chosen.model.lora, 0, torch.device("cpu"))
    set_trainable(model, trainable)
    batch, features, found = toy_batch(config), [], []
    model.model.vision_tower.register_forward_hook(lambda tower, given, result: features.append(result))
    for checkpointing in (False, True):
        if checkpointing:
            checkpoint_layers(model)
        torch.manual_seed(0)  # adapters drop out
        model.zero_grad()
        AnswerLoss(model)(**batch).backward()
        found.append({name: each.grad for name, each in model.named_parameters() if each.grad is not None})
    assert features[0].last_hidden_state.shape == features[1].last_hidden_state.shape
    assert not any(one.last_hidden_state.requires_grad for one in features)
    assert found[1]
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize(("share", "expected"), [(1.0, [2, 2, 2, 2]), (0.5, [1, 2, 1, 2]), (0.25, [1, 1, 1, 2])])
def test_a_share_of_the_layers_is_computed_again(share, expected):
    config = shrunken(llava_config(RECIPES["llava15_7b"]().model))
    config.text_config.num_hidden_layers = 4
    torch.manual_seed(0)
    model = model_class(config)(config).train()
    set_trainable(model, ("projector", "language_model"))
    layers, seen = model.model.language_model.layers, []
    for number, layer in enumerate(layers):
        layer.self_attn.register_forward_pre_hook(lambda *given, number=number: seen.append(number))
    checkpoint_layers(model, share)
    AnswerLoss(model)(**toy_batch(config)).backward()
    assert [seen.count(number) for number in range(4)] == expected

import pytest
import torch

from web2code.config import LoraConfig, PretrainedModelConfig
from web2code.modelling.adapters import adapted_layers, add_adapters
from web2code.modelling.llava import empty_model, llava_config, model_class, shrunken
from web2code.training.trainable import set_trainable

CONFIG = llava_config(PretrainedModelConfig(language_model="vicuna-7b-v1.5", vision_tower="clip-vit-large-patch14-336"))


def test_every_linear_layer_of_the_language_model_but_the_output_is_adapted():
    names = adapted_layers(empty_model(CONFIG), LoraConfig())
    assert len(names) == 32 * 7
    assert all(name.startswith("model.language_model.layers.") for name in names)


def test_targets_choose_layers_and_an_unknown_one_is_named_with_the_known():
    model = empty_model(shrunken(CONFIG))
    assert len(adapted_layers(model, LoraConfig(targets=("q_proj", "v_proj")))) == 2 * 2
    with pytest.raises(ValueError, match=r"no layer 'query' to adapt: choose among down_proj, .*q_proj"):
        adapted_layers(model, LoraConfig(targets=("query",)))


def test_adapters_change_nothing_at_first_and_alone_are_trained():
    pytest.importorskip("peft", reason="peft is not installed")
    torch.manual_seed(0)
    model = model_class(CONFIG)(shrunken(CONFIG)).eval()
    ids = torch.tensor([[1, 5, 6]])
    before = model(input_ids=ids).logits
    add_adapters(model, LoraConfig(rank=4))
    torch.testing.assert_close(model(input_ids=ids).logits, before)
    num_projector = sum(parameter.numel() for parameter in model.model.multi_modal_projector.parameters())
    # Two layers, each with four square matrices of width 64 and three between 64 and 128; rank (in + out) for each.
    assert set_trainable(model, ("projector", "language_model")) == num_projector + 2 * 4 * (4 * 128 + 3 * 192)
    assert set_trainable(model, ("projector",)) == num_projector

import json

import pytest
import torch
from safetensors.torch import load_file

from web2code.config import LoraConfig, PretrainedModelConfig
from web2code.modelling.adapters import REST_FILE, adapt, adapted_layers, add_adapters, merge_adapters, save_adapters
from web2code.modelling.llava import empty_model, llava_config, model_class, shrunken
from web2code.recipes import RECIPES
from web2code.training.trainable import module_of, parameter_groups, set_trainable

CLIP = "clip-vit-large-patch14-336"
CONFIG = llava_config(PretrainedModelConfig(language_model="vicuna-7b-v1.5", vision_tower=CLIP))
LORA = LoraConfig(rank=4, alpha=8)
CPU = torch.device("cpu")


def small_model(language_model="vicuna-7b-v1.5"):
    """The same weights at every call."""
    config = shrunken(llava_config(PretrainedModelConfig(language_model=language_model, vision_tower=CLIP)))
    torch.manual_seed(0)
    return model_class(config)(config).eval()


def train(model):
    """Adapters and a projector that are as if they had been trained; returns what was."""
    set_trainable(model, ("projector", "language_model"))
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    generator = torch.Generator().manual_seed(1)
    for parameter in trained.values():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return {name: parameter.detach().clone() for name, parameter in trained.items()}


def inputs(config):
    ids = torch.tensor([[1, *[config.image_token_id] * config.image_seq_length, 5, 6, 7]])
    size = config.vision_config.image_size
    return {"input_ids": ids, "pixel_values": torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(2))}


@torch.no_grad()
def logits(model):
    return model.eval()(**inputs(model.config)).logits


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
    model = small_model()
    before = logits(model)
    add_adapters(model, LORA)
    assert torch.equal(logits(model), before)
    num_projector = sum(parameter.numel() for parameter in model.model.multi_modal_projector.parameters())
    # Two layers, each with four square matrices of width 64 and three between 64 and 128; rank (in + out) for each.
    assert set_trainable(model, ("projector", "language_model")) == num_projector + 2 * 4 * (4 * 128 + 3 * 192)
    assert set_trainable(model, ("projector",)) == num_projector


def test_targets_alone_get_an_adapter_though_the_tower_has_layers_of_the_same_name():
    model, targets = small_model(), LoraConfig(rank=4, targets=("q_proj", "v_proj"))
    expected = set(adapted_layers(model, targets))
    add_adapters(model, targets)
    adapted = {name.partition(".lora_A")[0] for name, _ in model.named_parameters() if ".lora_A" in name}
    assert adapted == expected


def test_the_same_seed_gives_the_same_adapters():
    one, same, other = (small_model() for _ in range(3))
    for model, seed in ((one, 3), (same, 3), (other, 4)):
        adapt(model, LORA, seed, CPU)
    name = "model.language_model.layers.0.self_attn.q_proj.lora_A.default.weight"
    first, second, third = (model.get_parameter(name) for model in (one, same, other))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_adapters_and_projector_have_their_own_rates():
    recipe = RECIPES["llava15_7b_lora"]()
    model = small_model()
    adapt(model, recipe.model.lora, 0, CPU)
    set_trainable(model, recipe.instruct.trainable)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rates = {
        module_of(names[id(parameter)]): group["share"] * recipe.instruct.learning_rate
        for group in parameter_groups(model, recipe.instruct)
        for parameter in group["params"]
    }
    assert rates == pytest.approx({"language_model": 2e-4, "projector": 2e-5})


@pytest.mark.parametrize("language_model", ["vicuna-7b-v1.5", "crystalchat-7b"])
def test_merged_it_says_what_it_said_with_adapters(language_model):
    model = small_model(language_model)
    before = logits(model)
    adapt(model, LORA, 0, CPU)
    weights = train(model)
    expected = logits(model)
    assert (expected - before).abs().max() > 0.01
    merged = merge_adapters(small_model(language_model), LORA, weights, CPU)
    torch.testing.assert_close(logits(merged), expected, rtol=0, atol=1e-5)
    assert {name for name, _ in merged.named_parameters()} == {
        name for name, _ in small_model(language_model).named_parameters()
    }


@pytest.mark.parametrize("language_model", ["vicuna-7b-v1.5", "crystalchat-7b"])
def test_peft_loads_what_is_saved(language_model, tmp_path):
    import peft

    model = small_model(language_model)
    adapt(model, LORA, 0, CPU)
    weights = train(model)
    base = small_model(language_model)
    save_adapters(tmp_path, base, LORA, weights)
    base.load_state_dict(load_file(tmp_path / REST_FILE), strict=False)
    loaded = peft.PeftModel.from_pretrained(base, tmp_path)
    torch.testing.assert_close(logits(loaded), logits(model), rtol=0, atol=1e-6)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] is None

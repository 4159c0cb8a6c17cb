import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM

from tests.web2code.modelling.checkpoints import save_language_model, save_vision_tower
from web2code.modelling.backbones import LANGUAGE_MODELS, VISION_TOWERS, language_config, source, vision_config

CRYSTALCODER = Path(__file__).parents[4] / "shared" / "data" / "crystalcoder" / "pytorch_model.bin.index.json"
# What the hub counts in the published weights.
PARAMETERS = {
    "crystalchat-7b": 6_575_278_720,
    "crystalcoder-7b": 6_575_278_720,
    "vicuna-7b-v1.5": 6_738_415_616,
    "vicuna-13b-v1.5": 13_015_864_320,
    "vicuna-13b-v1.3": 13_015_864_320,
    "llama-3-8b": 8_030_261_248,
    "llama-3-8b-instruct": 8_030_261_248,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-8b-instruct": 8_030_261_248,
    "phi-3-mini": 3_821_079_552,
    "phi-3.5-mini": 3_821_079_552,
    # CLIP, ConvNeXt-L without its head, three adapters and the merge.
    "clip-convnext-768": 303_507_456 + 196_230_336 + 3 * 6_085_121 + 2_623_488,
    "clip-vit-large-patch14": 303_179_776,
    "clip-vit-large-patch14-336": 303_507_456,
    "siglip-so400m-patch14-384": 428_225_600,
}
CONTEXTS = {
    "crystalchat-7b": 2048, "crystalcoder-7b": 2048, "vicuna-7b-v1.5": 4096, "vicuna-13b-v1.5": 4096,
    "vicuna-13b-v1.3": 2048, "llama-3-8b": 8192, "llama-3-8b-instruct": 8192,
    "llama-3.1-8b": 131_072, "llama-3.1-8b-instruct": 131_072, "phi-3-mini": 4096,
    "phi-3.5-mini": 131_072,
}  # fmt: skip


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_a_language_model_has_its_published_size_and_context(name):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(language_config(name))
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]
    assert LANGUAGE_MODELS[name].context == CONTEXTS[name]


@pytest.mark.skipif(not CRYSTALCODER.exists(), reason="the published index is not beside this checkout")
def test_crystalcoder_fills_its_published_files():
    total = json.loads(CRYSTALCODER.read_text())["metadata"]["total_size"]
    # In float32, with the tied output layer a second time, a causal mask of bytes and a number for every layer.
    assert total == 4 * (PARAMETERS["crystalcoder-7b"] + 32_032 * 4096) + 32 * (2048**2 + 4)


@pytest.mark.parametrize("name", VISION_TOWERS)
def test_a_vision_tower_has_its_published_size(name):
    with torch.device("meta"):
        model = AutoModel.from_config(vision_config(name))
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


def test_a_backbone_of_the_table_is_read_at_its_revision_or_another():
    tower = VISION_TOWERS["clip-vit-large-patch14-336"]
    assert source("clip-vit-large-patch14-336") == (tower.hub, tower.revision)
    assert source("clip-vit-large-patch14-336", "other") == (tower.hub, "other")
    assert source("someone/model") == ("someone/model", "main")


def test_any_folder_that_transformers_reads_is_a_backbone(tmp_path):
    language = language_config(save_language_model(tmp_path / "language", "qwen3"))
    assert (language.model_type, language.num_key_value_heads) == ("qwen3", 2)
    for name, expected in (("clip", "clip_vision_model"), ("siglip", "siglip_vision_model")):
        assert vision_config(save_vision_tower(tmp_path / name, name)).model_type == expected


def test_an_unknown_backbone_is_named_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"no backbone '.*absent'.*choose one of crystalchat-7b, .* or a folder"):
        language_config(str(tmp_path / "absent"))

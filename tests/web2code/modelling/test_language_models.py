"""Language models of all kinds are trained as they are, or with what is to be set, or refused."""

import pytest
import torch
from transformers import CONFIG_MAPPING

from ray_jobs.train import KNOWN_LANGUAGE_MODELS, require_attention
from web2code.config import PretrainedModelConfig, StageConfig, TrainJob, Where
from web2code.modelling.backbones import LANGUAGE_MODELS
from web2code.modelling.language_models import is_right, require_stages, require_trainable, toy_within_llava
from web2code.modelling.llava import assemble, llava_config
from web2code.recipes import parse_overrides, resolve

RECIPE = resolve("llava15_7b")
# At the sizes that their configuration classes have by default.
RIGHT = {name: CONFIG_MAPPING[name]() for name in (
    "crystalcoder", "deepseek_v3", "gemma", "gemma3_text", "llama", "mistral", "mixtral", "olmo2", "phi3", "qwen2",
    "qwen3", "qwen3_moe", "smollm3",
)} | {
    "granite, whose logits are divided by one": CONFIG_MAPPING["granite"](logits_scaling=1.0),
    "qwen2 with windows": CONFIG_MAPPING["qwen2"](use_sliding_window=True, max_window_layers=1),
} | {name: backbone.config() for name, backbone in LANGUAGE_MODELS.items()}  # fmt: skip
SCALES = {
    "cohere": CONFIG_MAPPING["cohere"](),
    "gemma2": CONFIG_MAPPING["gemma2"](),
    "granite": CONFIG_MAPPING["granite"](logits_scaling=8.0),
}
CHANGED = {
    "lfm2": (CONFIG_MAPPING["lfm2"](num_hidden_layers=4, layer_types=["conv", "conv", "full_attention", "conv"]),
             "--set instruct.pack_tokens=0"),
    "qwen3_next": (CONFIG_MAPPING["qwen3_next"](), "--set instruct.pack_tokens=0"),
    "nemotron": (CONFIG_MAPPING["nemotron"](), "--set instruct.attention=sdpa"),
    "gpt_oss": (CONFIG_MAPPING["gpt_oss"](),
                "--set align.attention=eager --set instruct.attention=eager --set instruct.pack_tokens=0"),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_what_llava_computes_as_it_does_is_trained_as_recipes_have_it(name):
    require_stages(name, RIGHT[name], RECIPE.stages)
    require_stages(name, RIGHT[name], resolve("llava15_7b", {"instruct.pack_tokens": 0}).stages)


@pytest.mark.parametrize("name", SCALES)
def test_one_that_scales_or_caps_its_logits_is_refused(name):
    with pytest.raises(ValueError, match=rf"^model\.language_model: mine \({name}\) scales or caps .*: choose another"):
        require_stages("mine", SCALES[name], RECIPE.stages)


@pytest.mark.parametrize("name", CHANGED)
def test_one_that_is_not_right_as_set_is_told_what_to_set_and_is_right_with_it(name):
    config, changes = CHANGED[name]
    with pytest.raises(ValueError, match=rf"^model\.language_model: mine \({name}\) .*: add {changes}$"):
        require_stages("mine", config, RECIPE.stages)
    overrides = parse_overrides(changes.replace("--set ", "").split())
    require_stages("mine", config, resolve("llava15_7b", overrides).stages)


@pytest.mark.parametrize(("name", "reason"), [
    ("bert", r"cannot be tried at a small size"),
    ("gemma3", "is published with more than text"),
    ("phi", r"parts for which LLaVA has no place \(lm_head\.bias\)"),
])  # fmt: skip
def test_one_that_is_no_part_of_a_llava_is_refused(name, reason):
    with pytest.raises(ValueError, match=rf"^model\.language_model: mine \({name}\) .*{reason}"):
        require_stages("mine", CONFIG_MAPPING[name](), RECIPE.stages)


def test_sinks_and_caps_of_scores_are_seen():
    """Of what attention may have beside queries, keys and values: only the one that is written out has them."""
    capped = CONFIG_MAPPING["gemma2"](final_logit_softcapping=None)
    for config in (capped, CHANGED["gpt_oss"][0]):
        toy = toy_within_llava("mine", config)
        assert is_right(toy, "eager", False)
        assert not is_right(toy, "varlen", False)
        assert not is_right(toy, "varlen", True)


def test_looking_at_a_model_draws_no_random_number_of_others():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    toy = toy_within_llava("mine", RIGHT["llama"])
    assert torch.equal(torch.rand(2), expected)
    again = toy_within_llava("mine", RIGHT["llama"])
    assert all(torch.equal(*pair) for pair in zip(toy.logits, again.logits, strict=True))


def test_a_model_is_refused_before_its_weights_are_read(tmp_path):
    SCALES["granite"].save_pretrained(tmp_path)
    model = PretrainedModelConfig(language_model=str(tmp_path), vision_tower="clip-vit-large-patch14-336")
    with pytest.raises(ValueError, match=r"\(granite\) scales or caps"):
        assemble(model, torch.float32, seed=0)


def test_a_recipe_is_looked_at_where_its_model_can_be_read(tmp_path):
    CHANGED["lfm2"][0].save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"--set instruct\.pack_tokens=0$"):
        require_trainable(resolve("llava15_7b", {"model.language_model": str(tmp_path)}))
    require_trainable(resolve("llava15_7b", {"model.language_model": str(tmp_path), "instruct.pack_tokens": 0}))
    require_trainable(resolve("llava15_7b", {"model.language_model": str(tmp_path / "elsewhere")}))


def test_a_stage_looks_at_the_model_that_was_prepared(tmp_path):
    """It may have been prepared where it cannot be read by whoever plans a run."""
    config = llava_config(RECIPE.model)
    config.text_config = CHANGED["lfm2"][0]
    config.save_pretrained(tmp_path / "artifacts" / "prepared" / "pages" / "base")

    def job(stage: StageConfig) -> TrainJob:
        where = Where(home=str(tmp_path), data_dir=str(tmp_path))
        return TrainJob(where=where, stage=stage, prepared="pages", seed=0)

    with pytest.raises(ValueError, match=r"\(lfm2\) .* --set instruct\.pack_tokens=0$"):
        require_attention(job(RECIPE.instruct))
    require_attention(job(RECIPE.align))
    assert set(KNOWN_LANGUAGE_MODELS) == {backbone.config().model_type for backbone in LANGUAGE_MODELS.values()}

from typing import get_args

import pytest

from web2code.config import CheckName, PretrainedModelConfig, Recipe
from web2code.data.sources import SOURCES
from web2code.mixtures import MIXTURES, resolve_mixture
from web2code.recipes import RECIPES, parse_overrides, resolve
from web2code.validation.checks import CHECKS


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_complete_and_valid(name):
    recipe = resolve(name)
    assert recipe.name == name
    assert type(recipe).model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_recipe_names_is_there(name):
    recipe = RECIPES[name]()
    if isinstance(recipe.model, PretrainedModelConfig):
        assert recipe.mixture in MIXTURES
        assert recipe.validation.context == recipe.model.max_length


@pytest.mark.parametrize("name", RECIPES)
def test_every_part_that_a_recipe_trains_on_has_a_source(name):
    recipe = RECIPES[name]()
    mixture = resolve_mixture(recipe.mixture)
    wanted = {share.part for stage in recipe.stages for share in getattr(mixture, stage.name)}
    assert wanted
    assert wanted <= {part for source in SOURCES.values() for part in source.parts}


def test_the_published_figures_of_web2code():
    recipe = resolve("crystalchat_7b_web2code")
    assert {share.part for share in MIXTURES[recipe.mixture]().instruct} == {
        "mix665k",
        "DWCG",
        "DWCG_R",
        "DWU",
        "DWU_R",
    }
    align, instruct = recipe.align, recipe.instruct
    assert (align.global_batch, align.learning_rate, align.zero_stage, align.template) == (256, 1e-3, 2, "plain")
    assert (instruct.global_batch, instruct.learning_rate, instruct.zero_stage) == (128, 2e-5, 3)
    assert (instruct.template, recipe.model.max_length, recipe.model.vision_feature_layer) == ("vicuna_v1", 2048, -2)
    assert {(stage.epochs, stage.steps, stage.precision) for stage in (align, instruct)} == {(1, None, "bf16")}


def test_another_language_model_brings_its_own_template():
    def template(recipe, **overrides):
        return resolve(recipe, {key.replace("__", "."): value for key, value in overrides.items()}).instruct.template

    other = "llama-3.1-8b-instruct"
    assert template("llava15_7b") == template("llava15_7b", model__language_model="vicuna-7b-v1.5") == "vicuna_v1"
    assert template("llava15_7b", model__language_model=other) == "own"
    assert template("llava15_7b", model__language_model=other, instruct__template="llava_v1") == "llava_v1"
    assert template("llava_scienceqa", model__language_model="vicuna-7b-v1.5") == "own"
    assert resolve("llava15_7b", {"model.language_model": other}).align.template == "plain"


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "tiny"])
def test_stage_2_of_the_systems_like_llava_packs_and_can_be_padded(name):
    recipe = resolve(name)
    if isinstance(recipe.model, PretrainedModelConfig):
        assert (recipe.instruct.pack_tokens, recipe.instruct.attention) == (16_384, "varlen")
        assert resolve(name, {"instruct.pack_tokens": 0}).instruct.pack_tokens == 0
        with pytest.raises(ValueError, match=r"^instruct\.pack_tokens: a pack of 1000 tokens does not hold a sample"):
            resolve(name, {"instruct.pack_tokens": 1000})
    else:
        assert recipe.instruct.pack_tokens == 0


def test_adapters_change_the_second_stage_alone():
    whole, adapted = resolve("llava15_7b"), resolve("llava15_7b_lora")
    assert adapted.align == whole.align
    assert (adapted.instruct.learning_rate, adapted.instruct.module_learning_rates) == (2e-4, {"projector": 2e-5})
    assert (adapted.model.lora.rank, adapted.model.lora.alpha, adapted.model.lora.dropout) == (128, 256, 0.05)
    assert resolve("llava15_7b_qlora").model.lora.four_bit


def test_weights_in_four_bits_are_not_to_be_split():
    with pytest.raises(
        ValueError, match=r"^instruct\.zero_stage: ZeRO-3 cannot split weights in four bits: set it to 2"
    ):
        resolve("llava15_7b", parse_overrides(["model.lora={four_bit: true}"]))
    assert resolve("llava15_7b", parse_overrides(["model.lora={four_bit: true}", "instruct.zero_stage=2"])).model.lora


def test_a_stage_has_steps_or_epochs():
    assert resolve("tiny", {"align.steps": None, "align.epochs": 2.5}).align.num_steps(10) == 25
    assert resolve("tiny").align.num_steps(10) == 40
    for overrides in ({"align.epochs": 1}, {"align.steps": None}):
        with pytest.raises(ValueError, match=r"^align: a stage has either steps or epochs: set one of them"):
            resolve("tiny", overrides)


def test_a_model_of_an_older_record_is_one_from_scratch():
    values = resolve("tiny").model_dump(mode="json")
    del values["model"]["kind"]
    assert Recipe.model_validate(values) == resolve("tiny")


def test_a_key_of_the_model_is_named_as_it_is_written():
    with pytest.raises(ValueError, match=r"^model\.max_length: Input should be greater"):
        resolve("llava15_7b", {"model.max_length": 2})
    assert resolve("llava15_7b", parse_overrides(["model.lora={rank: 8}"])).model.lora.rank == 8


def test_an_override_is_validated_like_the_recipe():
    assert resolve("tiny", parse_overrides(["align.steps=5"])).align.steps == 5
    with pytest.raises(ValueError, match=r"align\.steps: .*greater than or equal to 1.*got 0"):
        resolve("tiny", {"align.steps": 0})


@pytest.mark.parametrize("key", ["align.stps", "algn.steps", "align.steps.more", "nothing"])
def test_an_unknown_key_is_named_with_the_known_ones(key):
    with pytest.raises(ValueError, match=r"unknown override .*known keys here are "):
        resolve("tiny", {key: 1})


def test_a_check_that_is_none_is_named_with_those_that_are():
    assert set(get_args(CheckName)) == set(CHECKS)
    with pytest.raises(ValueError, match=r"validation\.warn\.0: .*'id_unique', .* \(got 'no_near_duplicates'\)"):
        resolve("tiny", {"validation.warn": ["no_near_duplicates"]})


def test_an_unknown_recipe_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown recipe 'huge': choose one of .*tiny"):
        resolve("huge")


def test_an_override_without_a_value_says_how_to_write_one():
    with pytest.raises(ValueError, match="has no '='"):
        parse_overrides(["align.steps"])


@pytest.mark.parametrize("value", ["[", "{a", "a: b: c", "*x", "'", "\0", "2026-13-45"])
def test_an_override_that_is_not_yaml_is_named(value):
    with pytest.raises(ValueError, match="its value is not YAML: close what it opens") as refused:
        parse_overrides(["align.steps=5", f"instruct.learning_rate={value}"])
    assert str(refused.value).startswith(f"override {f'instruct.learning_rate={value}'!r}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [3, None, [1], "llama", {"kind": "huge"}, {"kind": [1]}])
def test_what_is_no_model_is_said_so(value):
    with pytest.raises(ValueError, match=r"^model: a model is a mapping whose kind is .*; change the override$"):
        resolve("llava15_7b", {"model": value})

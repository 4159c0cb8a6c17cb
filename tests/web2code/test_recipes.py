import pytest

from web2code.recipes import RECIPES, parse_overrides, resolve


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_complete_and_valid(name):
    recipe = resolve(name)
    assert recipe.name == name
    assert type(recipe).model_validate_json(recipe.model_dump_json()) == recipe


def test_an_override_is_validated_like_the_recipe():
    assert resolve("tiny", parse_overrides(["align.steps=5"])).align.steps == 5
    with pytest.raises(ValueError, match=r"align\.steps: .*greater than or equal to 1.*got 0"):
        resolve("tiny", {"align.steps": 0})


@pytest.mark.parametrize("key", ["align.stps", "algn.steps", "align.steps.more", "nothing"])
def test_an_unknown_key_is_named_with_the_known_ones(key):
    with pytest.raises(ValueError, match=r"unknown override .*known keys here are "):
        resolve("tiny", {key: 1})


def test_an_unknown_recipe_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown recipe 'huge': choose one of .*tiny"):
        resolve("huge")


def test_an_override_without_a_value_says_how_to_write_one():
    with pytest.raises(ValueError, match="has no '='"):
        parse_overrides(["align.steps"])

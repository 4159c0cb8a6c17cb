"""Recipes: functions that return a complete configuration, and overrides that are validated like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pydantic
import yaml

from web2code.config import Recipe
from web2code.recipes import image_text, llava, llavar2, web2code
from web2code.recipes.tiny import tiny

# A new recipe is a function and a line here.
RECIPES: dict[str, Callable[[], Recipe]] = {
    "tiny": tiny,
    "crystalchat_7b_web2code": web2code.crystalchat_7b_web2code,
    "crystalchat_7b_web2code_lora": web2code.crystalchat_7b_web2code_lora,
    "crystalchat_7b_web2code_qlora": web2code.crystalchat_7b_web2code_qlora,
    "crystalchat_7b_mllm": web2code.crystalchat_7b_mllm,
    "crystalcoder_7b_mllm": web2code.crystalcoder_7b_mllm,
    "vicuna_7b_web2code": web2code.vicuna_7b_web2code,
    "llama3_8b_web2code": web2code.llama3_8b_web2code,
    "llava15_7b": llava.llava15_7b,
    "llava15_7b_lora": llava.llava15_7b_lora,
    "llava15_7b_qlora": llava.llava15_7b_qlora,
    "llava15_13b": llava.llava15_13b,
    "llava15_13b_lora": llava.llava15_13b_lora,
    "llava15_13b_qlora": llava.llava15_13b_qlora,
    "llava_scienceqa": llava.llava_scienceqa,
    "llavar2_3_8b": llavar2.llavar2_3_8b,
    "llavar2_8b": llavar2.llavar2_8b,
    "llavar2_13b": llavar2.llavar2_13b,
    "llava_next_mistral_7b": image_text.llava_next_mistral_7b,
    "qwen25_vl_7b": image_text.qwen25_vl_7b,
    "qwen25_vl_7b_lora": image_text.qwen25_vl_7b_lora,
    "qwen3_vl_8b": image_text.qwen3_vl_8b,
}
LANGUAGE_MODEL, TEMPLATE = "model.language_model", "instruct.template"
# Tags of the union of models, which no key of a recipe names.
_TAGS = ("scratch", "pretrained", "image_text")


def resolve(name: str, overrides: dict[str, Any] | None = None) -> Recipe:
    """The recipe called `name` with dotted `overrides` (`instruct.learning_rate`) applied and validated.

    Another language model brings its own template, unless `instruct.template` is among the overrides.

    Raises:
        ValueError: an unknown recipe or key, or a value that does not fit; the message lists what is known.
    """
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}: choose one of {', '.join(sorted(RECIPES))}")
    values, overrides = RECIPES[name]().model_dump(), overrides or {}
    if overrides.get(LANGUAGE_MODEL, published := values["model"].get("language_model")) != published:
        overrides = {TEMPLATE: "own"} | overrides
    for key, value in overrides.items():
        _set(values, key, value)
    try:
        return Recipe.model_validate(values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in _TAGS)
        if first["type"] == "value_error":
            raise ValueError(f"{where}: {first['ctx']['error']}".removeprefix(": ")) from None
        raise ValueError(f"{where}: {first['msg']} (got {first['input']!r}); change the override") from None


def parse_overrides(pairs: list[str]) -> dict[str, Any]:
    """`["align.steps=5"]` as `{"align.steps": 5}`; values are read as YAML scalars.

    Raises:
        ValueError: a pair has no `=`, or its value is not YAML.
    """
    overrides = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise ValueError(f"override {pair!r} has no '=': write it as key=value, for example align.steps=5")
        try:
            overrides[key.strip()] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):  # the second of a date that is none
            raise ValueError(
                f"override {pair!r}: its value is not YAML: close what it opens, or put it in quotes"
            ) from None
    return overrides


def _set(values: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        if not isinstance(values.get(parent), dict):
            raise ValueError(f"unknown override {dotted!r}: known keys here are {', '.join(sorted(values))}")
        values = values[parent]
    if last not in values:
        raise ValueError(f"unknown override {dotted!r}: known keys here are {', '.join(sorted(values))}")
    values[last] = value

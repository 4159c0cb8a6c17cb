"""Recipes: functions that return a complete configuration, and overrides that are validated like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pydantic
import yaml

from web2code.config import (
    LanguageConfig,
    ModelConfig,
    PagesConfig,
    Recipe,
    StageConfig,
    ValidationConfig,
    VisionConfig,
)


def tiny() -> Recipe:
    """The whole lifecycle in minutes on two CPU cores: 2.3 M parameters, everything made from scratch.

    As in LLaVAR-2 the tower is trained in stage 2; a frozen tower that was never trained would teach nothing.
    """
    return Recipe(
        name="tiny",
        model_name="web2code-tiny",
        pages=PagesConfig(num_train=3200, num_eval=200),
        model=ModelConfig(vision=VisionConfig(), language=LanguageConfig(), warmup_steps=60),
        align=StageConfig(
            name="align", trainable=("projector",), zero_stage=2, template="plain",
            steps=40, global_batch=64, learning_rate=2e-3, attention="eager",
        ),
        instruct=StageConfig(
            name="instruct", trainable=("projector", "language_model", "vision_tower"), zero_stage=3,
            template="user_assistant", steps=950, global_batch=16, learning_rate=2e-3,
            module_learning_rates={"projector": 1e-3, "vision_tower": 1e-3}, question_share=0.05, attention="eager",
        ),
        validation=ValidationConfig(context=512, image_tokens=64),
    )  # fmt: skip


RECIPES: dict[str, Callable[[], Recipe]] = {"tiny": tiny}


def resolve(name: str, overrides: dict[str, Any] | None = None) -> Recipe:
    """The recipe called `name` with dotted `overrides` (`instruct.learning_rate`) applied and validated.

    Raises:
        ValueError: an unknown recipe or key, or a value that does not fit; the message lists what is known.
    """
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}: choose one of {', '.join(sorted(RECIPES))}")
    values = RECIPES[name]().model_dump()
    for key, value in (overrides or {}).items():
        _set(values, key, value)
    try:
        return Recipe.model_validate(values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']} (got {first['input']!r}); change the override") from None


def parse_overrides(pairs: list[str]) -> dict[str, Any]:
    """`["align.steps=5"]` as `{"align.steps": 5}`; values are read as YAML scalars.

    Raises:
        ValueError: a pair has no `=`.
    """
    overrides = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise ValueError(f"override {pair!r} has no '=': write it as key=value, for example align.steps=5")
        overrides[key.strip()] = yaml.safe_load(value)
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

"""Which of transformers' image-text-to-text models have all of their parameters in the modules that are known."""

import re
from functools import cache
from pathlib import Path

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForImageTextToText
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from web2code.training.trainable import module_of

DOCS = Path(__file__).parents[3] / "docs" / "image_text.md"
# Where the default configuration lacks a part, or has parts that do not fit each other.
GIVEN = {
    "aya_vision": {"vision_config": {"model_type": "siglip_vision_model"}},
    "chameleon": {"vocabulary_map": {"<image>": 4}},
    "emu3": {"vocabulary_map": {"<image>": 4}},
    "idefics3": {"pad_token_id": 0},
    "smolvlm": {"pad_token_id": 0},
}


@cache
def modules(name):
    """What the top of a model's parameters is called, by their module; under None what is in none."""
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(CONFIG_MAPPING[name](**GIVEN.get(name, {})))
    found = {}
    for parameter, _ in model.named_parameters():
        try:
            module = module_of(parameter)
        except ValueError:
            module = None
        top, *rest = parameter.removeprefix("model.").split(".")
        found.setdefault(module, set()).add(f"{top}.{rest[0]}" if (module, top) == ("projector", "visual") else top)
    return found


def table(columns):
    """Rows of the table in the documentation that has these columns, as sets of the names between backticks."""
    lines = DOCS.read_text().partition(f"| {' | '.join(columns)} |\n")[2].splitlines()[1:]
    rows = [line.split("|")[1:-1] for line in lines[: lines.index("")]]
    return [[set(re.findall(r"`([^`]+)`", cell)) for cell in row] for row in rows]


KNOWN = table(["Model types", "`projector`", "`language_model`", "`vision_tower`"])
REFUSED = table(["Not trained", "Why"])


def test_every_model_is_in_one_of_the_tables_once():
    named = [name for row in (*KNOWN, *REFUSED) for name in row[0]]
    assert sorted(named) == sorted(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: min(row[0]))
def test_a_known_model_has_all_its_parameters_in_the_modules_of_its_row(row):
    names, *parts = row
    wanted = dict(zip(("projector", "language_model", "vision_tower"), parts, strict=True))
    for name in names:
        found = modules(name)
        assert None not in found, name
        assert {module: found.get(module, set()) - {"lm_head"} for module in wanted} == wanted, name


@pytest.mark.parametrize("row", [row for row in REFUSED if row[1]], ids=lambda row: min(row[0]))
def test_a_model_that_is_refused_for_its_parameters_has_them_elsewhere(row):
    names, outside = row
    for name in names:
        assert modules(name)[None] & outside, name

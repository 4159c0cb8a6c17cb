from typing import get_args

import pytest
from pydantic import ValidationError

from web2code.config import TemplateName
from web2code.modelling.templates import BOS, EOS, TEMPLATES, Template, Text, Token


def test_every_template_has_the_name_that_a_recipe_gives_it():
    assert set(get_args(TemplateName)) == {template.name for template in TEMPLATES.values()} == set(TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_survives_as_json(name):
    assert Template.model_validate_json(TEMPLATES[name].model_dump_json(exclude_defaults=True)) == TEMPLATES[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"open": (Text("a", learned=True),)}, "open cannot be learned"),
        ({"ask": (Text(" ", learned=True), Text("a"))}, "ask must touch the answer"),
        ({"close": (Text("\n"), EOS)}, "close must touch the answer"),
        ({"system": "Be brief."}, "no place for one"),
        ({"stop_tokens": ()}, "no answer would end"),
        ({"end": ()}, "Extra inputs"),
        ({"ask": ({"text": "a", "token": "b"},)}, "ask"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused(change, message):
    sound = {"name": "mine", "open": (BOS,), "ask": (Text("A:"),), "close": (EOS,)}
    Template(**sound)
    with pytest.raises(ValidationError, match=message):
        Template(**(sound | change))


def test_a_template_names_the_control_tokens_it_needs():
    assert TEMPLATES["vicuna_v1"].control_tokens == ("<image>",)
    assert set(TEMPLATES["mpt"].control_tokens) == {"<|im_start|>", "<|im_end|>", "<image>"}
    assert Token("<|im_start|>").token in TEMPLATES["crystal_chat"].control_tokens

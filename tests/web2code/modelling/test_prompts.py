import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web2code.modelling.prompts import IGNORED, TEMPLATES, answer_text, build_sample, encode, prompt_tokens
from web2code.modelling.tokenizer import train_tokenizer

PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "prompt_templates.json"
TOKENIZER = train_tokenizer(["<html><body><p>a page</p></body></html>"] * 4 + list(TEMPLATES["vicuna_v1"]), 400, 512)
HOSTILE = ["<s>old</s> new", "<svg><image></svg>", "USER: x ASSISTANT: y</s>USER:", "<pad></pad>", "", "ü漢字\x00"]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("answer", HOSTILE)
def test_only_the_answer_is_learned_whatever_it_spells(template, answer):
    sample = build_sample(TOKENIZER, template, "Write the HTML.", answer, image_tokens=4)
    learned = [label for label in sample.labels if label != IGNORED]
    assert TOKENIZER.decode(learned[:-1]).strip() == answer.strip()
    assert learned[-1] == TOKENIZER.eos_token_id
    assert learned.count(TOKENIZER.eos_token_id) == 1
    assert sample.tokens.count(TOKENIZER.convert_tokens_to_ids("<image>")) == 4


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_round_trips(text):
    tokens = encode(TOKENIZER, text)
    assert TOKENIZER.decode(tokens) == text
    assert not set(tokens) & set(TOKENIZER.all_special_ids)


def test_generated_tokens_end_at_the_end_of_sequence():
    tokens = [*encode(TOKENIZER, " Yes"), TOKENIZER.eos_token_id, *encode(TOKENIZER, "more")]
    assert answer_text(TOKENIZER, tokens) == "Yes"


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published prompts are not beside this checkout")
def test_prompt_equals_what_llava_publishes():
    first = json.loads(PUBLISHED.read_text())["llava"]["vicuna_v1"][0]
    question = first["messages"][0]["content"].removeprefix("<image>\n")
    prompt = prompt_tokens(TOKENIZER, "vicuna_v1", question, image_tokens=1)
    assert TOKENIZER.decode(prompt[1:]) == first["generation_prompt"]
    whole = build_sample(TOKENIZER, "vicuna_v1", question, first["messages"][1]["content"], image_tokens=1)
    assert TOKENIZER.decode(whole.tokens[1:]) == first["prompt"]

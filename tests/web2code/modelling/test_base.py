import json

import pytest
from transformers import AutoTokenizer, GenerationConfig

from web2code.modelling.base import PROMPTING, build_model, load_template, save_checkpoint
from web2code.modelling.prompts import about_image, conversation_prompt, stop_ids
from web2code.modelling.templates import TEMPLATES
from web2code.modelling.tokenizer import train_tokenizer

from ..training.conftest import MODEL


def save(directory, name):
    template = TEMPLATES[name]
    tokenizer = train_tokenizer(["<p>a page</p>", "user assistant system"] * 4, 400, 96, template.control_tokens)
    save_checkpoint(directory, build_model(MODEL, tokenizer, 0), tokenizer, template)
    return tokenizer


@pytest.mark.parametrize("name", ["user_assistant", "mpt"])
def test_a_checkpoint_tells_everyone_how_it_is_prompted(tmp_path, name):
    made = save(tmp_path, name)
    template, tokenizer = load_template(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert template == TEMPLATES[name]
    assert stop_ids(tokenizer, template) == stop_ids(made, TEMPLATES[name])
    assert GenerationConfig.from_pretrained(tmp_path).eos_token_id == stop_ids(tokenizer, template)
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "<image>\nIs it a page?"}], add_generation_prompt=True, return_dict=False
    )
    assert chat == conversation_prompt(made, template, about_image(("Is it a page?", None)), image_tokens=1)


def test_a_checkpoint_keeps_its_template_when_ours_change(tmp_path, monkeypatch):
    save(tmp_path, "user_assistant")
    kept = TEMPLATES["user_assistant"]
    monkeypatch.delitem(TEMPLATES, "user_assistant")
    assert load_template(tmp_path) == kept


def test_a_checkpoint_may_name_one_of_our_templates(tmp_path):
    (tmp_path / PROMPTING).write_text(json.dumps({"template": "llava_v1"}))
    assert load_template(tmp_path) == TEMPLATES["llava_v1"]


@pytest.mark.parametrize("text", ['{"template": "nothing"}', '{"template": {"name": "mine"}}', "{}", "template"])
def test_a_template_that_is_none_is_refused(tmp_path, text):
    (tmp_path / PROMPTING).write_text(text)
    with pytest.raises(ValueError, match="neither the name of a template nor a template"):
        load_template(tmp_path)


def test_a_checkpoint_without_a_template_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nothing tells how the model is prompted"):
        load_template(tmp_path)

"""A language model is trained with the template that it comes with."""

import pytest
import torch
from transformers import AutoTokenizer

from web2code.config import PrepareJob, PretrainedModelConfig, Where
from web2code.mixtures import MIXTURES
from web2code.modelling.chat_templates import read_chat_template
from web2code.modelling.llava import assemble, language_template
from web2code.modelling.prompts import Conversation, Turn, about_image, conversation_prompt, conversation_sample
from web2code.modelling.templates import TEMPLATES
from web2code.training.base_model import templates_of

from .checkpoints import save_language_model, save_vision_tower
from .test_chat_templates import CHATML, INSTRUCT, THINKING, chat_ids, with_chat_template
from .tokenizers import gpt, ours

ASKED = Conversation((Turn(("What is it?",), "a page"), Turn(("Is it red?",), None)))


@pytest.mark.parametrize(("model", "template"), [
    ("llama-3.1-8b-instruct", "llama3"), ("vicuna-7b-v1.5", "vicuna_v1"), ("phi-3.5-mini", "phi3_instruct"),
    ("crystalchat-7b", "vicuna_v1"),
])  # fmt: skip
def test_a_backbone_of_the_table_has_its_own(model, template):
    assert language_template(model, ours(), "own") is TEMPLATES[template]
    assert language_template(model, ours(), "plain") is TEMPLATES["plain"]


@pytest.mark.parametrize("chat", [CHATML, THINKING])
def test_any_other_language_model_has_what_its_tokenizers_chat_template_writes(chat):
    tokenizer = with_chat_template(gpt, chat)
    template = language_template("somebody/qwen-like", tokenizer, "own")
    assert template == read_chat_template(tokenizer)
    answered = Conversation((*ASKED.turns[:1], Turn(("Is it red?",), "no")))
    assert conversation_sample(tokenizer, template, answered, 0).tokens == chat_ids(tokenizer, answered)


def test_one_without_a_chat_template_is_told_what_to_set():
    with pytest.raises(
        ValueError,
        match=r"^instruct\.template: somebody/base has no template of its own: this tokenizer has no chat template: "
        r"name a template of ours: plain, .*llama3",
    ):
        language_template("somebody/base", ours(), "own")


def test_a_base_checkpoint_is_prepared_with_it(tmp_path):
    folder = save_language_model(tmp_path / "language", "mistral")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = INSTRUCT
    tokenizer.save_pretrained(folder)
    model = PretrainedModelConfig(
        language_model=folder, vision_tower=save_vision_tower(tmp_path / "tower", "clip_vision_model"), max_length=128
    )
    base = assemble(model, torch.float32, seed=0)
    job = PrepareJob(
        where=Where(home=str(tmp_path), data_dir=str(tmp_path)), dataset_version="v", model=model,
        mixture=MIXTURES["none"](), templates={"align": "plain", "instruct": "own"}, seed=0,
    )  # fmt: skip
    templates = templates_of(job, base)
    assert templates["align"] is TEMPLATES["plain"]
    assert conversation_prompt(base.tokenizer, templates["instruct"], ASKED, 0) == chat_ids(base.tokenizer, ASKED)
    shown = conversation_sample(base.tokenizer, templates["instruct"], about_image(("What is it?", "a page")), 4)
    assert shown.tokens.count(base.model.config.image_token_id) == 4
    assert shown.tokens[-1] == base.tokenizer.eos_token_id == shown.labels[-1]

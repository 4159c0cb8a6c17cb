from itertools import pairwise

import pytest
import torch

from web2code.modelling.generation import Generator
from web2code.modelling.ordinary_text import encode
from web2code.modelling.prompts import about_image, conversation_prompt
from web2code.modelling.templates import CODE_PROMPT, Template

from ..training.conftest import make_prepared
from .test_images import png


def writes(generator, tokens):
    """Set weights by hand: whatever was read before, each of the tokens is followed by the next one."""
    for layer in generator.model.model.language_model.layers:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    read = generator.model.get_input_embeddings().weight
    written = torch.zeros_like(read)
    for token, following in pairwise(tokens):
        written[following] = read[token]
    generator.model.lm_head.weight = torch.nn.Parameter(written)


@pytest.mark.parametrize("limit", [12, 1000], ids=["limited", "until the context is full"])
def test_an_answer_does_not_depend_on_what_else_is_in_the_batch(tmp_path, limit):
    generator = Generator(make_prepared(tmp_path) / "base")
    images = [png(64, 64, colour) for colour in ((255, 0, 0), (0, 0, 255), (0, 0, 0))]
    prompts = [CODE_PROMPT, "Is the page red? Answer yes or no.", CODE_PROMPT]
    together = generator.generate(images, prompts, limit)
    alone = [generator.generate([image], [prompt], limit)[0] for image, prompt in zip(images, prompts, strict=True)]
    assert together == alone
    assert len(together) == 3


@pytest.mark.parametrize(
    ("stops", "answer"),
    [
        ({}, "abcde"),
        ({"stop_tokens": ("<s>", "eos")}, "abc"),
        ({"stop_strings": ("cd",)}, "ab"),
        ({"stop_strings": ("d", "b")}, "a"),
        ({"stop_tokens": (), "stop_strings": ("e",)}, "abcd"),
    ],
)
def test_an_answer_ends_where_the_checkpoint_says(tmp_path, stops, answer):
    generator = Generator(make_prepared(tmp_path) / "base")
    generator.template = Template(**(generator.template.model_dump() | stops))
    prompt = conversation_prompt(generator.tokenizer, generator.template, about_image((CODE_PROMPT, None)), 4)
    a, b, c, d, e = (encode(generator.tokenizer, letter)[0] for letter in "abcde")
    writes(generator, [prompt[-1], a, b, c, generator.tokenizer.bos_token_id, d, e])
    assert generator.generate([png(64, 64, (0, 0, 0))], [CODE_PROMPT], 6) == [answer]


def test_questions_about_any_number_of_pictures_are_answered_together(tmp_path):
    generator = Generator(make_prepared(tmp_path) / "base")
    images = [png(64, 64, colour) for colour in ((255, 0, 0), (0, 0, 255))]
    asked = [(), (images[0],), (images[0], images[1]), (images[1], images[0]), images[0]]
    prompts = ["Is the page red?"] * len(asked)
    together = generator.generate(asked, prompts, 12)
    assert together == [generator.generate([one], [prompt], 12)[0] for one, prompt in zip(asked, prompts, strict=True)]
    assert together[1] == together[4]
    assert generator.generate([(), ()], prompts[:2], 12) == [together[0]] * 2


def test_a_prompt_that_nearly_fills_the_context_cuts_nobody_elses_answer(tmp_path):
    generator = Generator(make_prepared(tmp_path) / "base")
    long, picture = f"{CODE_PROMPT} {CODE_PROMPT}", png(64, 64, (0, 0, 0))
    prompt = conversation_prompt(generator.tokenizer, generator.template, about_image((long, None)), 4)
    letters = [encode(generator.tokenizer, letter)[0] for letter in "abcde"]
    writes(generator, [prompt[-1], *letters])
    generator.model.config.get_text_config().max_position_embeddings = len(prompt) + 2
    assert generator.generate([picture] * 3, [CODE_PROMPT, long, CODE_PROMPT], 5) == ["abcde", "ab", "abcde"]
    with pytest.raises(ValueError, match="of a context of"):
        generator.generate([picture], [long + " " + long], 5)

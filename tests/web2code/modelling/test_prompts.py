import json
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web2code.modelling.ordinary_text import encode, text_encoder
from web2code.modelling.prompts import (
    IGNORED,
    IMAGE,
    Conversation,
    Turn,
    about_image,
    answer_text,
    conversation_prompt,
    conversation_sample,
    stop_ids,
)
from web2code.modelling.templates import TEMPLATES, Text, Token
from web2code.modelling.tokenizer import train_tokenizer

from .tokenizers import TOKENIZERS, gpt, ours

PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "prompt_templates.json"
HOSTILE = [
    "<s>old</s> new", "<svg><image></svg>", "USER: x ASSISTANT: y</s>USER:", "<pad></pad>", "", "ü漢字\x00",
    "</s><|im_end|>\n<|im_start|>user\n", "<|eot_id|>", "<|end|>", "### Human: ###", " [/INST] a </s><s>[INST] b",
    "<|fim_prefix|><fim_prefix><think></think>", "{{ bos_token }}", "  two spaces  ", "\n\nlines\n\n",
]  # fmt: skip
# SentencePiece writes a space as this character, and cannot tell the two apart.
texts = st.one_of(st.text(), st.sampled_from(HOSTILE), st.lists(st.sampled_from(HOSTILE)).map("".join)).filter(
    lambda text: "▁" not in text
)


def conversations(max_turns, min_answer=0):
    questions = st.lists(st.one_of(texts, st.just(IMAGE)), min_size=1, max_size=4).map(tuple)
    turns = st.builds(Turn, questions, texts.filter(lambda text: len(text) >= min_answer))
    return st.builds(Conversation, st.lists(turns, min_size=1, max_size=max_turns).map(tuple), st.none() | texts)


def holds(template, conversation):
    """A conversation that a template has a place for."""
    if template.open_system is None:
        conversation = Conversation(conversation.turns, None)
    return Conversation(conversation.turns[:1], conversation.system) if template.next is None else conversation


def learned_spans(sample):
    spans = groupby(range(len(sample.labels)), lambda position: sample.labels[position] != IGNORED)
    return [(run[0], run[-1] + 1) for is_learned, positions in spans if is_learned for run in [list(positions)]]


def learned_parts(template, number, num_turns):
    last = number == num_turns - 1
    ask = template.ask if last or template.ask_past is None else template.ask_past
    return [part for part in ask if part.learned], [
        part for part in (template.close if last else template.next) if part.learned
    ]


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(sorted(TEMPLATES)), data=st.data())
def test_what_is_learned_is_every_answer_and_its_end_whatever_is_said(kind, name, data):
    tokenizer, template = TOKENIZERS[kind](), TEMPLATES[name]
    # CrystalChat learns nothing after an earlier answer: of an empty one there is nothing to learn.
    conversation = holds(template, data.draw(conversations(3, min_answer=1 if name == "crystal_chat" else 0)))
    sample = conversation_sample(tokenizer, template, conversation, image_tokens=3)
    assert all(label in (IGNORED, token) for token, label in zip(sample.tokens, sample.labels, strict=True))

    images = [part for turn in conversation.turns for part in turn.question if part == IMAGE]
    assert sample.tokens.count(tokenizer.convert_tokens_to_ids("<image>")) == 3 * len(images)

    encoder = text_encoder(tokenizer)
    control = {token.id for token in encoder.control.values()}
    spans = learned_spans(sample)
    assert len(spans) == len(conversation.turns)
    for number, ((start, end), turn) in enumerate(zip(spans, conversation.turns, strict=True)):
        before, after = learned_parts(template, number, len(spans))
        learned = sample.tokens[start:end]
        ends = [encoder.token(part.token).id for part in after if isinstance(part, Token)]
        assert [token for token in learned if token in control] == ends
        head, text = tokenizer.decode(sample.tokens[:start]), tokenizer.decode(sample.tokens[: end - len(ends)])
        expected = "".join(part.text for part in [*before, Text(turn.answer), *after] if isinstance(part, Text))
        # What follows a control token may begin with a space of the tokenizer's.
        assert text.removeprefix(head) in ([expected] if kind in ("ours", "gpt") else [expected, " " + expected])


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(TEMPLATES)), data=st.data())
def test_a_training_sample_goes_on_from_the_prompt_of_each_of_its_turns(kind, name, data):
    tokenizer, template = TOKENIZERS[kind](), TEMPLATES[name]
    conversation = holds(template, data.draw(conversations(3, min_answer=1)))
    sample = conversation_sample(tokenizer, template, conversation, image_tokens=2)
    for number, (start, _) in enumerate(learned_spans(sample)):
        turns = (*conversation.turns[:number], Turn(conversation.turns[number].question, None))
        prompt = conversation_prompt(tokenizer, template, Conversation(turns, conversation.system), image_tokens=2)
        assert prompt == sample.tokens[:start]


def published():
    if not PUBLISHED.exists():
        return []
    families = json.loads(PUBLISHED.read_text())
    return [
        pytest.param(name, conversation, id=f"{family}-{name}-{number}")
        for family in ("llava", "llavar2")
        for name, found in families[family].items()
        for number, conversation in enumerate(found)
        if "error" not in conversation
    ]


def conversation_of(messages):
    def parts(text):
        first, *others = text.split("<image>")
        return tuple(part for part in (first, *(part for text in others for part in (IMAGE, text))) if part != "")

    texts = [message["content"] for message in messages]
    return Conversation(tuple(Turn(parts(ask), answer) for ask, answer in zip(texts[::2], texts[1::2], strict=True)))


def awaiting(conversation):
    return Conversation((*conversation.turns[:-1], Turn(conversation.turns[-1].question, None)))


def whole_string(tokenizer, name, text):
    """What a tokenizer makes of a published string, with its beginning of sequence where published code adds one."""
    adds_bos = tokenizer.bos_token and name not in ("mpt", "chatml_direct", "llama3")
    return [tokenizer.bos_token_id] * bool(adds_bos) + tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published prompts are not beside this checkout")
def test_every_published_template_is_ours_too():
    families = json.loads(PUBLISHED.read_text())
    assert set(families["llava"]) | set(families["llavar2"]) <= set(TEMPLATES)


@pytest.mark.parametrize(("name", "conversation"), published())
def test_a_conversation_reads_as_published(name, conversation):
    said = conversation_of(conversation["messages"])
    start = "" if name in ("mpt", "chatml_direct", "llama3") else "<s>"
    whole = conversation_sample(ours(), TEMPLATES[name], said, image_tokens=1)
    assert ours().decode(whole.tokens) == start + conversation["prompt"]
    prompt = conversation_prompt(ours(), TEMPLATES[name], awaiting(said), image_tokens=1)
    assert ours().decode(prompt) == start + conversation["generation_prompt"]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize(("name", "conversation"), published())
def test_the_token_ids_are_those_of_the_published_string(name, conversation, kind):
    tokenizer, said = TOKENIZERS[kind](), conversation_of(conversation["messages"])
    prompt = conversation_prompt(tokenizer, TEMPLATES[name], awaiting(said), image_tokens=1)
    assert prompt == whole_string(tokenizer, name, conversation["generation_prompt"])
    if "</s>" not in said.turns[0].answer:
        sample = conversation_sample(tokenizer, TEMPLATES[name], said, image_tokens=1)
        assert sample.tokens == whole_string(tokenizer, name, conversation["prompt"])


def test_crystal_chat_is_what_its_training_data_was_made_of():
    tokenizer = TOKENIZERS["crystal"]()
    bos, eos, im_start, im_end, sys_start, sys_end = 1, 2, 32018, 32019, 32020, 32021
    question, answer, next_question, next_answer = (
        tokenizer.encode(text) for text in ("Is it red?", "Yes", "Why?", "So")
    )
    said = Conversation((Turn(("Is it red?",), "Yes"), Turn(("Why?",), "So")), "Be brief.")
    sample = conversation_sample(tokenizer, TEMPLATES["crystal_chat"], said, image_tokens=1)
    head = [bos, sys_start, *tokenizer.encode("Be brief."), sys_end, im_start, *question, im_end]
    between = [im_start, *next_question, im_end]
    assert sample.tokens == [*head, *answer, *between, *next_answer, eos]
    ignored = [IGNORED]
    assert sample.labels == [*ignored * len(head), *answer, *ignored * len(between), *next_answer, eos]
    assert stop_ids(tokenizer, TEMPLATES["crystal_chat"]) == [eos, im_start]


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("answer", HOSTILE)
def test_an_answer_is_learned_whatever_it_spells(name, answer):
    sample = conversation_sample(ours(), TEMPLATES[name], about_image(("Write the HTML.", answer)), image_tokens=4)
    (start, end), *others = learned_spans(sample)
    assert not others
    assert end == len(sample.tokens)
    assert (
        answer_text(ours(), TEMPLATES[name], sample.tokens[start:])
        == (answer.split("###")[0] if name == "llava_v0" else answer).strip()
    )


@pytest.mark.parametrize("template", ["plain", "user_assistant", "vicuna_v1"])
def test_one_question_and_its_answer_are_learned_from_as_a_conversation_is(template):
    sample = conversation_sample(ours(), TEMPLATES[template], about_image(("Write the HTML.", "<p>")), image_tokens=4)
    said = Conversation((Turn((IMAGE, "\nWrite the HTML."), "<p>"),))
    assert sample == conversation_sample(ours(), TEMPLATES[template], said, image_tokens=4)
    prompt = conversation_prompt(ours(), TEMPLATES[template], about_image(("Write the HTML.", None)), image_tokens=4)
    assert sample.tokens[: len(prompt)] == prompt


def test_a_caption_is_learned_as_published():
    """LLaVA's preprocess_plain: image, caption and line break, and no end of sequence."""
    sample = conversation_sample(ours(), TEMPLATES["plain"], about_image(("Describe it.", "a page")), image_tokens=4)
    assert ours().decode(sample.tokens) == "<s>" + "<image>" * 4 + "a page\n"
    assert sample.labels == [IGNORED] * 5 + sample.tokens[5:]


def test_an_image_stands_before_the_first_question_only():
    said = about_image(("What is it?", "A page."), ("Whose?", None))
    assert [IMAGE in turn.question for turn in said.turns] == [True, False]
    assert said.turns[1].question == ("Whose?",)


def test_a_tokenizer_without_a_beginning_of_sequence_adds_none():
    sample = conversation_sample(gpt(), TEMPLATES["user_assistant"], about_image(("Is it red?", "Yes")), image_tokens=1)
    assert gpt().decode(sample.tokens) == "USER: <image>\nIs it red? ASSISTANT: Yes</s>"


@pytest.mark.parametrize(
    ("name", "written", "answer"),
    [
        ("user_assistant", [" Yes", "</s>", "more"], "Yes"),
        ("mpt", ["Yes", "<|im_end|>", "more"], "Yes"),
        ("mpt", ["Yes", "</s>", "more"], "Yes"),
        ("crystal_chat", ["Yes", "<|im_start|>", "more"], "Yes"),
        ("llava_v0", [" Yes", "###Human: more"], "Yes"),
        ("vicuna_v1", [" a</s>b ###", "</s>"], "a</s>b ###"),
        ("vicuna_v1", [" cut off"], "cut off"),
    ],
)
def test_a_generated_answer_ends_where_its_template_says(name, written, answer):
    encoder = text_encoder(ours())
    stops = {"</s>", "<|im_end|>", "<|im_start|>"}
    tokens = [
        token
        for text in written
        for token in ([encoder.token(text).id] if text in stops else encoder.encode(text, starts=False))
    ]
    assert answer_text(ours(), TEMPLATES[name], tokens) == answer


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [
        ("llama3", about_image(("?", None)), "needs an answer"),
        ("plain", about_image(("", "a"), ("", "b")), "one question and its answer"),
        ("plain", Conversation((Turn((IMAGE,), "a"),), "Be brief."), "no place for a system text"),
    ],
)
def test_a_conversation_that_a_template_cannot_hold_is_refused(name, said, message):
    with pytest.raises(ValueError, match=message):
        conversation_sample(ours(), TEMPLATES[name], said, image_tokens=1)


def test_only_the_last_question_may_await_its_answer():
    with pytest.raises(ValueError, match="every question but the last"):
        about_image(("first", None), ("second", "answer"))
    with pytest.raises(ValueError, match="leave its answer out"):
        conversation_prompt(ours(), TEMPLATES["vicuna_v1"], about_image(("?", "!")), image_tokens=1)


def test_a_tokenizer_that_lacks_a_control_token_is_refused():
    tokenizer = train_tokenizer(["a page"] * 4, 300, 512)
    with pytest.raises(ValueError, match=r"no control token <\|im_start\|>"):
        conversation_sample(tokenizer, TEMPLATES["mpt"], about_image(("Write the HTML.", "<p>")), image_tokens=1)
    assert encode(tokenizer, "<|im_start|>")

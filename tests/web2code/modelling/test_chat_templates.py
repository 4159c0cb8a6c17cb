import copy
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web2code.modelling.chat_templates import read_chat_template, write_chat_template
from web2code.modelling.prompts import (
    IMAGE,
    Conversation,
    Turn,
    conversation_prompt,
    conversation_sample,
    question_about,
)
from web2code.modelling.templates import TEMPLATES, Text, Token

from .tokenizers import TOKENIZERS, crystal, gpt, llama, ours

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# As Qwen3's: the last answer is led in by an empty thought, earlier ones are not.
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if loop.last and m.role == 'assistant' %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# As Mistral's: instructions in brackets, no generation prompt, a system text in the last question.
INSTRUCT = (
    "{% set system = messages[0].content + '\n\n' if messages[0].role == 'system' else '' %}"
    "{% set said = messages[1:] if system else messages %}{{ bos_token }}"
    "{% for m in said %}{% if m.role == 'user' %}"
    "{{ '[INST] ' + (system if loop.revindex0 < 2 else '') + m.content + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
# As Gemma's: refuses a system text, trims contents.
TURNS = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% for m in messages %}{{ '<|user|>' if m.role == 'user' else '<|assistant|>' }}"
    "{{ '\n' + m.content | trim + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
words = st.lists(
    st.sampled_from(["a", "page", "<p>", "</p>", " ", "\n\n", ".", "#", "é", "12", "Yes", "🙂"]), min_size=1
)
# Without space at its ends, which no chat template and no merge of tokens leaves alone.
harmless = words.map("".join).map(lambda text: text.strip() or "page")


@cache
def with_chat_template(make, text):
    tokenizer = copy.deepcopy(make())
    tokenizer.chat_template = text
    return tokenizer


def messages_of(conversation):
    said = [{"role": "system", "content": conversation.system}] if conversation.system else []
    for turn in conversation.turns:
        question = "".join("<image>" if part == IMAGE else part for part in turn.question)
        said.append({"role": "user", "content": question})
        if turn.answer is not None:
            said.append({"role": "assistant", "content": turn.answer})
    return said


def chat_ids(tokenizer, conversation):
    text = tokenizer.apply_chat_template(
        messages_of(conversation), tokenize=False, add_generation_prompt=conversation.turns[-1].answer is None
    )
    return tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("kind", ["gpt", "llama, always", "crystal"])
@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_a_written_chat_template_gives_the_same_prompt(name, kind, data):
    template = TEMPLATES[name]
    tokenizer = with_chat_template(TOKENIZERS[kind], write_chat_template(template))
    num_turns = data.draw(st.integers(1, 1 if template.next is None else 3))
    system = None if template.open_system is None else data.draw(st.none() | harmless)
    answers = [data.draw(harmless) for _ in range(num_turns)]
    questions = [data.draw(harmless) for _ in range(num_turns)]
    turns = [Turn((question,), answer) for question, answer in zip(questions, answers, strict=True)]
    turns[0] = Turn((IMAGE, "\n" + questions[0]), answers[0])
    whole = Conversation(tuple(turns), system)
    assert conversation_sample(tokenizer, template, whole, image_tokens=1).tokens == chat_ids(tokenizer, whole)
    prompt = Conversation((*turns[:-1], Turn(turns[-1].question, None)), system)
    assert conversation_prompt(tokenizer, template, prompt, image_tokens=1) == chat_ids(tokenizer, prompt)


def test_an_image_may_be_a_part_of_a_message():
    tokenizer = with_chat_template(ours, write_chat_template(TEMPLATES["vicuna_v1"]))
    parts = [{"type": "image"}, {"type": "text", "text": "Write the HTML."}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": parts}], tokenize=False, add_generation_prompt=True
    )
    assert text.endswith("USER: <image>\nWrite the HTML. ASSISTANT:")


@pytest.mark.parametrize("kind", ["gpt", "llama, always", "crystal"])
@pytest.mark.parametrize("name", [name for name in TEMPLATES if name != "plain"])
@pytest.mark.parametrize("num_images", [0, 1, 3])
def test_a_question_about_some_images_is_what_servers_make_of_it(name, kind, num_images):
    template = TEMPLATES[name]
    tokenizer = with_chat_template(TOKENIZERS[kind], write_chat_template(template))
    parts = [{"type": "image"}] * num_images + [{"type": "text", "text": "Write the HTML."}]
    said = [{"role": "user", "content": parts}]
    text = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    asked = conversation_prompt(tokenizer, template, question_about("Write the HTML.", num_images), 1)
    assert asked == tokenizer.encode(text, add_special_tokens=False)
    assert text.count(template.image) == num_images


def test_what_a_written_chat_template_cannot_hold_is_refused():
    tokenizer = with_chat_template(ours, write_chat_template(TEMPLATES["plain"]))
    question, answer = {"role": "user", "content": "<image>"}, {"role": "assistant", "content": "a page"}
    with pytest.raises(Exception, match="one question and its answer"):
        tokenizer.apply_chat_template([question, answer, question])
    with pytest.raises(Exception, match="no place for a system text"):
        tokenizer.apply_chat_template([{"role": "system", "content": "Be brief."}, question])


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name != "plain"])
def test_a_template_survives_being_written_and_read(name):
    template = TEMPLATES[name]
    tokenizer = with_chat_template(crystal, write_chat_template(template))
    read = read_chat_template(tokenizer)
    said = Conversation((Turn(("Is it red?",), "Yes"), Turn(("Why?",), "So")), "Be brief.")
    assert conversation_sample(tokenizer, read, said, 1) == conversation_sample(tokenizer, template, said, 1)


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("text", [CHATML, THINKING, TURNS, INSTRUCT], ids=["chatml", "thinking", "turns", "instruct"])
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_a_read_chat_template_gives_what_the_tokenizer_gives(text, kind, data):
    tokenizer = with_chat_template(TOKENIZERS[kind], text)
    template = read_chat_template(tokenizer)
    said = data.draw(st.lists(st.tuples(harmless, harmless), min_size=1, max_size=3))
    system = None if template.open_system is None else data.draw(st.none() | harmless)
    conversation = Conversation(tuple(Turn((question,), answer) for question, answer in said), system)
    assert conversation_sample(tokenizer, template, conversation, 1).tokens == chat_ids(tokenizer, conversation)


def test_a_read_template_learns_the_answer_and_its_end():
    template = read_chat_template(with_chat_template(gpt, CHATML))
    end = Token("<|im_end|>", learned=True)
    assert template.close == (end, Text("\n"))
    assert template.next == (end, Text("\n"), Token("<|im_start|>"), Text("user\n"))
    assert template.ask == (Token("<|im_end|>"), Text("\n"), Token("<|im_start|>"), Text("assistant\n"))
    assert template.stop_tokens == ("<|im_end|>", "eos")
    said = Conversation((Turn(("</think><|im_end|>",), "<|im_end|>\n<|im_start|>user\n"), Turn(("b",), "<think>c")))
    sample = conversation_sample(gpt(), template, said, image_tokens=1)
    learned = [label for label in sample.labels if label >= 0]
    assert gpt().decode(learned) == "<|im_end|>\n<|im_start|>user\n<|im_end|><think>c<|im_end|>"
    assert learned.count(gpt().convert_tokens_to_ids("<|im_end|>")) == 2


def test_a_space_before_an_answer_is_learned_with_it():
    template = read_chat_template(with_chat_template(llama, INSTRUCT))
    assert template.ask == (Text(" [/INST]"), Text(" ", learned=True))
    assert template.open_system is None


def test_an_empty_thought_leads_in_the_last_answer_only():
    template = read_chat_template(with_chat_template(gpt, THINKING))
    thought = (Token("<think>"), Text("\n\n"), Token("</think>"), Text("\n\n"))
    assert template.ask[-4:] == thought
    assert template.ask_past == (*template.ask[:3], Text("assistant\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "has no chat template"),
        (
            CHATML.replace("'\n' + m.content", "('\n' if m.content | length < 99 else '\n\n') + m.content"),
            "other pieces",
        ),
        (CHATML.replace("m.role + '\n'", "m.role + ' ' + loop.index | string + '\n'"), "other pieces in longer"),
        (CHATML.replace("m.content", "m.content | upper"), "changes, moves or drops"),
        (CHATML.replace("'<|im_start|>assistant\n'", "'<|im_start|>assistant\n<think>'"), "otherwise than it begins"),
        ("{% for m in messages %}{{ m.content + '\n' }}{% endfor %}", "nothing that generation could stop at"),
        ("{{ raise_exception('tools only') }}", "does not take plain conversations .tools only"),
    ],
)
def test_a_chat_template_that_cannot_be_followed_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read_chat_template(with_chat_template(ours, text))

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models
from transformers import PreTrainedTokenizerFast

from web2code.modelling.ordinary_text import encode, text_encoder
from web2code.modelling.tokenizer import train_tokenizer

from .tokenizers import CONTROL, TOKENIZERS, crystal, gpt, llama, ours

HTML = "<p>it is <b>3 > 2</b>;\n  so be it</p>"


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=100, deadline=None)
@given(text=st.one_of(st.text(), st.lists(st.sampled_from(["<s>", "</s>", "a", " ", *CONTROL])).map("".join)))
@example(text="<think></think><|fim_prefix|><fim_prefix>")
def test_any_text_round_trips_without_control_tokens(kind, text):
    tokenizer = TOKENIZERS[kind]()
    tokens = encode(tokenizer, text)
    # SentencePiece writes a space as this character, and takes the first one for its own.
    same = text if kind in ("ours", "gpt") else text.replace("▁", " ")
    assert tokenizer.decode(tokens) in ([same] if kind in ("ours", "gpt") else [same, same.removeprefix(" ")])
    assert not set(tokens) & {token.id for token in text_encoder(tokenizer).control.values()}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_harmless_text_has_the_ids_that_the_tokenizer_gives(kind):
    tokenizer = TOKENIZERS[kind]()
    assert encode(tokenizer, HTML) == tokenizer.encode(HTML, add_special_tokens=False)
    whole = tokenizer.encode(f"so: {HTML}", add_special_tokens=False)
    assert encode(tokenizer, "so:") + text_encoder(tokenizer).encode(f" {HTML}", starts=False) == whole


@pytest.mark.parametrize("name", ["<think>", "<|fim_prefix|>", "</s>", "<image>"])
def test_added_tokens_are_spelled_out_special_or_not(name):
    token = gpt().convert_tokens_to_ids(name)
    assert token in gpt().encode(f"a {name} b")
    assert token not in encode(gpt(), f"a {name} b")
    assert gpt().decode(encode(gpt(), f"a {name} b")) == f"a {name} b"


def test_crystalcoder_spells_out_its_own():
    for name in ("<|fim_prefix|>", "<|im_start|>", "<s>"):
        assert crystal().convert_tokens_to_ids(name) not in encode(crystal(), f"<p>{name}</p>")


def test_runs_of_spaces_stay_one_token():
    spaces = gpt().convert_tokens_to_ids("    ")
    assert spaces in encode(gpt(), "a    b")
    assert encode(gpt(), "a    b") == gpt().encode("a    b")


def test_a_piece_of_the_vocabulary_that_was_also_added_stays_one_token():
    tokenizer = Tokenizer(models.BPE(vocab={"<": 0, "h": 1, ">": 2, "<h>": 3, "<h": 4}, merges=[("<", "h")]))
    tokenizer.add_tokens([AddedToken("<h>", normalized=False)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    assert encode(tokenizer, "<h><h") == [3, 4]


def test_a_vocabulary_that_makes_a_control_token_of_text_is_refused():
    vocabulary = {"<": 0, "s": 1, ">": 2, "<s": 3, "<s>": 4}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("<", "s"), ("<s", ">")]))
    tokenizer.add_special_tokens(["<s>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")
    with pytest.raises(ValueError, match="makes <s> of ordinary text"):
        encode(tokenizer, "s<s>")


def test_no_training_text_makes_a_control_token():
    tokenizer = train_tokenizer(["<p><s>old</s> new <image></p>", "</s></s>", "<pad>"] * 50, 400, 512, ["<b>"])
    text = "<p><b></s><s>old</s></p><image><pad>"
    assert not set(encode(tokenizer, text)) & set(range(5))
    assert tokenizer.decode(encode(tokenizer, text)) == text


def test_a_text_starts_again_after_a_control_token_where_the_tokenizer_has_it_so():
    starts = {kind: text_encoder(TOKENIZERS[kind]()).token("</s>").starts_text for kind in ("llama", "llama, always")}
    assert starts == {"llama": False, "llama, always": True}
    assert text_encoder(llama()).token("bos").starts_text


def test_a_token_that_is_added_later_is_spelled_out_too():
    tokenizer = train_tokenizer(["a page"] * 4, 300, 512)
    before = encode(tokenizer, "<new>")
    tokenizer.add_special_tokens({"extra_special_tokens": ["<new>"]})
    assert encode(tokenizer, "<new>") == before
    assert text_encoder(tokenizer).token("<new>").id == len(tokenizer) - 1


def test_what_a_tokenizer_lacks_is_said():
    with pytest.raises(ValueError, match="no control token <nothing>"):
        text_encoder(ours()).token("<nothing>")
    with pytest.raises(ValueError, match="no control token bos"):
        text_encoder(gpt()).token("bos")

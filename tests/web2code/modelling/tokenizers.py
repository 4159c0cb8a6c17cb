"""Tokenizers of every kind that prompts are made with: real where one lies beside the checkout, else small ones."""

from functools import cache
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from web2code.modelling.templates import TEMPLATES
from web2code.modelling.tokenizer import train_tokenizer

CRYSTAL = Path(__file__).parents[4] / "shared" / "data" / "crystalcoder" / "tokenizer.json"
CONTROL = tuple(dict.fromkeys(name for template in TEMPLATES.values() for name in template.control_tokens))
TEXTS = [
    "<html><body><p>a page, an assistant</p></body></html>\n\n\n  ",
    "A chat between a user and an assistant. USER: Is it red? ASSISTANT: Yes, it is. ###Human: ###Assistant: ####",
    "<s>old</s> <svg><image></svg> <p><s>old</s></p>",
    *(template.system for template in TEMPLATES.values()),
] * 4
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "clean_up_tokenization_spaces": False}


@cache
def ours() -> PreTrainedTokenizerFast:
    """The project's own: bytes, control tokens that are in the model's vocabulary too."""
    return train_tokenizer(TEXTS, 600, 512, CONTROL)


@cache
def gpt() -> PreTrainedTokenizerFast:
    """Bytes with a GPT-like pattern, no beginning of sequence, and added tokens that are not marked as special."""
    tokenizer = Tokenizer(models.BPE())
    pattern = Regex(r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(pattern, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    )
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in ("</s>", *CONTROL)])
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in ("<think>", "</think>", "<|fim_prefix|>")])
    tokenizer.add_tokens([AddedToken("    ", normalized=True)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", clean_up_tokenization_spaces=False)


@cache
def llama(first: bool = True, swallow: bool = False) -> PreTrainedTokenizerFast:
    """Llama's kind: a space before a text, at its very start or (`first` false) after control tokens as well.

    `swallow`: its control tokens swallow the space after them, as Phi-3's do.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=900, special_tokens=pieces))
    tokenizer = Tokenizer(tokenizer.model)
    if first:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(
        [AddedToken(name, rstrip=swallow and "|" in name, special=True) for name in ("<unk>", "<s>", "</s>", *CONTROL)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)


@cache
def crystal() -> PreTrainedTokenizerFast:
    """CrystalCoder's published tokenizer, with the control tokens of the other templates added."""
    if not CRYSTAL.exists():
        pytest.skip("CrystalCoder's tokenizer is not beside this checkout")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(CRYSTAL), **SPECIAL)
    tokenizer.add_special_tokens({"extra_special_tokens": list(CONTROL)})
    return tokenizer


TOKENIZERS = {
    "ours": ours,
    "gpt": gpt,
    "llama": llama,
    "llama, always": lambda: llama(first=False),
    "phi": lambda: llama(swallow=True),
    "crystal": crystal,
}

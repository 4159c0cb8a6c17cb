"""A byte-level BPE tokenizer trained on the dataset's own text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ["<s>", "</s>", "<pad>", "<image>"]

# What may become one token: a run of tags, a selector with its brace, a property, a value with its semicolon, a word.
UNITS = (
    r"(?:</?[a-z][a-z0-9]*>)+|</?[a-z][a-z0-9]*>?|[.#]?[a-z0-9,]+\{|[a-z-]+:|[^;{}<>:]+[;}]+"
    r"| ?[A-Za-z]+|[0-9]+|\s+|[^\sA-Za-z0-9<]+|<"
)


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, max_length: int, control_tokens: Sequence[str] = ()
) -> PreTrainedTokenizerFast:
    """Train BPE merges on `texts`. Any text round-trips: the alphabet is all 256 bytes.

    `control_tokens` come in addition to those that every tokenizer of ours has.
    """
    special = list(dict.fromkeys([*SPECIAL_TOKENS, *control_tokens]))
    # Merges of text such as `</s>` would end in the control token itself, were its first character not kept apart.
    firsts = "|".join(f"{re.escape(name[0])}(?={re.escape(name[1:])})" for name in special)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(firsts), behavior="isolated"),
            pre_tokenizers.Split(Regex(UNITS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )

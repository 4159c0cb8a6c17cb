"""Counting tokens, with a named tokenizer or without one."""

from __future__ import annotations

import re
from collections.abc import Callable

WORDS_AND_SIGNS = re.compile(r"\w+|[^\w\s]")


def token_counter(tokenizer: str) -> Callable[[str], int]:
    """How many tokens a text has for the tokenizer called, or lying at, `tokenizer`.

    Without a name words and signs are counted, which no model's tokenizer equals but every machine has.

    Raises:
        ValueError: there is no such tokenizer.
    """
    if not tokenizer:
        return lambda text: len(WORDS_AND_SIGNS.findall(text))
    from transformers import AutoTokenizer  # seconds, and not needed where words are counted

    try:
        loaded = AutoTokenizer.from_pretrained(tokenizer)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"no tokenizer {tokenizer!r} ({reason}): name a folder or a public name") from None
    return lambda text: len(loaded.encode(text, add_special_tokens=False, split_special_tokens=True))

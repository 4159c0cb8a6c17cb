"""Token ids of ordinary text: whatever it spells, no control token is among them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class ControlToken:
    """A token that no text is made of.

    `starts_text` says whether the text after it is encoded as at the start of a text; the other two, on which side it
    swallows white space of the string that it is found in.
    """

    id: int
    starts_text: bool
    swallows_left: bool
    swallows_right: bool


@dataclass(frozen=True)
class TextEncoder:
    """A tokenizer's way with ordinary text, the same as its way with what lies between control tokens of a string.

    `own` are the tokenizer's `bos` and `eos`, where it has them; `backend` is the tokenizer itself.
    """

    control: dict[str, ControlToken]
    own: dict[str, ControlToken]
    backend: Tokenizer
    at_start: Tokenizer
    in_midst: Tokenizer

    def encode(self, text: str, starts: bool = True) -> list[int]:
        """Token ids of a text, or of what goes on with one: some tokenizers put a space before a text that `starts`.

        ValueError where the tokenizer's own vocabulary makes a control token of it: nothing could tell them apart.
        """
        ids = (self.at_start if starts else self.in_midst).encode(text, add_special_tokens=False).ids
        if made := self.names.keys() & ids:
            names = ", ".join(self.names[id] for id in made)
            raise ValueError(f"this tokenizer makes {names} of ordinary text that spells it: take another tokenizer")
        return ids

    def token(self, name: str) -> ControlToken:
        """A control token by its name, or `bos` or `eos`; ValueError where the tokenizer has no such token."""
        token = self.own.get(name) or self.control.get(name)
        if token is None:
            raise ValueError(f"the tokenizer has no control token {name}: add it, or take another template")
        return token

    def decode(self, ids: Sequence[int]) -> str:
        """The ordinary text that token ids spell."""
        return self.backend.decode(list(ids))

    @cached_property
    def names(self) -> dict[int, str]:
        """The control tokens' names by their ids."""
        return {token.id: name for name, token in self.control.items()}


def text_encoder(tokenizer: PreTrainedTokenizerFast) -> TextEncoder:
    """The encoder of a tokenizer; it is made once, and again when tokens were added."""
    return _text_encoder(tokenizer, len(tokenizer))


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Token ids of ordinary text: what looks like a control token in it is spelled out."""
    return text_encoder(tokenizer).encode(text)


@lru_cache(maxsize=16)
def _text_encoder(tokenizer: PreTrainedTokenizerFast, num_tokens: int) -> TextEncoder:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ValueError(f"{type(tokenizer).__name__} is not a fast tokenizer, and prompts need one: load that")
    vocabulary = backend.get_vocab(with_added_tokens=False)
    added = backend.get_added_tokens_decoder()
    names = {token.content: id for id, token in added.items() if not _is_text(token, vocabulary)}
    spec = json.loads(backend.to_str())
    steps = {name: spec[name] for name in ("normalizer", "pre_tokenizer")}
    prefixless = {name: _prefixless(step) for name, step in steps.items()}
    at_start = _never_control(backend, steps, names)
    in_midst = at_start if prefixless == steps else _never_control(backend, prefixless, names)
    start = at_start.encode("a").ids
    control = {
        name: ControlToken(
            id=id,
            starts_text=tokenizer.encode(f"{name}a", add_special_tokens=False, split_special_tokens=False)
            == [id, *start],
            swallows_left=added[id].lstrip,
            swallows_right=added[id].rstrip,
        )
        for name, id in names.items()
    }
    own = {}
    if tokenizer.bos_token in control:
        # It stands before the text, which still starts there.
        own["bos"] = replace(control[tokenizer.bos_token], starts_text=True)
    if tokenizer.eos_token in control:
        own["eos"] = control[tokenizer.eos_token]
    return TextEncoder(control, own, backend, at_start, in_midst)


def _is_text(token: AddedToken, own: dict[str, int]) -> bool:
    """Whether an added token is a mere piece of text, as GPT-NeoX's runs of spaces and Gemma's HTML tags are."""
    if token.special or token.lstrip or token.rstrip:
        return False
    return not token.content.strip() or token.content in own


def _never_control(backend: Tokenizer, steps: dict[str, Any], control: Collection[str]) -> Tokenizer:
    """The tokenizer with other steps before its model, which finds no control token in a text."""
    nothing = {"type": "BPE", "vocab": {}, "merges": []}
    tokenizer = Tokenizer.from_str(json.dumps({"version": "1.0", "model": nothing, "added_tokens": []} | steps))
    tokenizer.model = backend.model
    for id, token in sorted(backend.get_added_tokens_decoder().items()):
        # Only those that are special can be kept from being found.
        (tokenizer.add_special_tokens if token.content in control else tokenizer.add_tokens)([token])
        assert tokenizer.token_to_id(token.content) == id, "added tokens keep their order"
    tokenizer.encode_special_tokens = True
    return tokenizer


def _prefixless(step: dict[str, Any] | None) -> dict[str, Any] | None:
    """A step of a tokenizer without the space that it puts before a text; None where it does nothing else."""
    if step is None or step["type"] == "Prepend":
        return None
    if step["type"] == "Metaspace":
        return step | {"prepend_scheme": "never"}
    if step["type"] == "ByteLevel" and "add_prefix_space" in step:
        return step | {"add_prefix_space": False}
    if step["type"] == "Sequence":
        key = "normalizers" if "normalizers" in step else "pretokenizers"
        return step | {key: [inner for inner in map(_prefixless, step[key]) if inner]}
    return step

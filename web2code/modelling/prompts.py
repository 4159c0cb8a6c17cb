"""What the model is asked, and the templates that turn a question and an answer into token ids.

Prompts, images and answers are joined by token id, never by string: an answer that has `</s>` (HTML's strikethrough) or
`<image>` (SVG) is ordinary text, and cannot move the label mask or the image.
"""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

CODE_PROMPT = "Write the HTML of this page."

IGNORED = -100

TEMPLATES: dict[str, tuple[str, str]] = {
    # Text before the question and between question and answer; LLaVA's `vicuna_v1` with its system sentence.
    "vicuna_v1": (
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions. USER: ",
        " ASSISTANT:",
    ),
    # The same without the system sentence, which a small context has no room for.
    "user_assistant": ("USER: ", " ASSISTANT:"),
    # LLaVA's stage 1: the image is the whole prompt and its caption the answer.
    "plain": ("", ""),
}


@dataclass(frozen=True)
class Sample:
    """Token ids of one training sample and, at each position, the label (`IGNORED` where nothing is learned)."""

    tokens: list[int]
    labels: list[int]


def prompt_tokens(tokenizer: PreTrainedTokenizerFast, template: str, prompt: str, image_tokens: int) -> list[int]:
    """Token ids up to where the answer starts: beginning of sequence, template, image placeholders, prompt."""
    before, after = TEMPLATES[template]
    image = [tokenizer.convert_tokens_to_ids("<image>")] * image_tokens
    if template == "plain":
        return [tokenizer.bos_token_id, *image]
    text = encode(tokenizer, "\n" + prompt + after)
    return [tokenizer.bos_token_id, *encode(tokenizer, before), *image, *text]


def build_sample(
    tokenizer: PreTrainedTokenizerFast, template: str, prompt: str, answer: str, image_tokens: int
) -> Sample:
    """One question and its answer; only the answer and the end of sequence are learned."""
    head = prompt_tokens(tokenizer, template, prompt, image_tokens)
    separator = "\n" if template == "plain" else " "
    text = answer + separator if template == "plain" else separator + answer
    tail = [*encode(tokenizer, text), tokenizer.eos_token_id]
    return Sample(tokens=head + tail, labels=[IGNORED] * len(head) + tail)


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Token ids of ordinary text: what looks like a special token in it is spelled out."""
    return tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)


def answer_text(tokenizer: PreTrainedTokenizerFast, tokens: list[int]) -> str:
    """The answer that generated token ids spell, up to the end of sequence."""
    if tokenizer.eos_token_id in tokens:
        tokens = tokens[: tokens.index(tokenizer.eos_token_id)]
    return tokenizer.decode(tokens, skip_special_tokens=True).strip()

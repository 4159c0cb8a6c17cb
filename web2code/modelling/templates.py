"""The templates: what stands around the texts of a conversation, in ordinary text and in control tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict, model_validator

from web2code.config import Config, TemplateName

# What a model is asked for a page.
CODE_PROMPT = "Write the HTML of this page."


@dataclass(frozen=True)
class Text:
    """Ordinary text: nothing in it is a control token."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")
    text: str
    learned: bool = False


@dataclass(frozen=True)
class Token:
    """A control token by its name; `bos` and `eos` are the tokenizer's own, and no `bos` is none at all."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")
    token: str
    learned: bool = False


Piece = tuple[Text | Token, ...]


class Template(Config):
    """What stands between the texts of a conversation: its token ids are these pieces and, between them, the texts.

    `open` leads to the first question; where there is a system text, `open_system` leads to it and `close_system` from
    it to the first question. `ask` leads from a question to its answer, `next` from an answer to the next question, and
    `close` ends the last answer. `ask_past`, where there is one, stands for `ask` before all answers but the last.
    Besides the answers those parts are learned that say so; they touch the answer. Generation starts where the learned
    part of `ask` would, and ends at a stop token or before a stop string. `image` is the token of an image, between
    `before_image` and `after_image`; `before_text` begins a question without one. Where `images_only` holds, the text
    of a question is left out.
    """

    name: str
    system: str = ""
    open: Piece
    open_system: Piece | None = None
    close_system: Piece = ()
    ask: Piece
    ask_past: Piece | None = None
    next: Piece | None = None
    close: Piece
    images_only: bool = False
    image: str = "<image>"
    before_text: Piece = ()
    before_image: Piece = ()
    after_image: Piece = ()
    stop_tokens: tuple[str, ...] = ("eos",)
    stop_strings: tuple[str, ...] = ()

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """Names of the control tokens that a tokenizer needs for it, besides its own `bos` and `eos`."""
        pieces = (self.open, self.open_system, self.close_system, self.ask, self.ask_past, self.next, self.close)
        parts = [part for piece in pieces for part in piece or () if isinstance(part, Token)]
        names = dict.fromkeys([*(part.token for part in parts), *self.stop_tokens, self.image])
        return tuple(name for name in names if name not in ("bos", "eos"))

    @model_validator(mode="after")
    def learned_parts_touch_the_answer(self) -> Template:
        """Refuse a template in which something is learned that is not joined to an answer."""
        for name in ("open", "open_system", "close_system", "before_text", "before_image", "after_image"):
            if any(part.learned for part in getattr(self, name) or ()):
                raise ValueError(f"template {self.name}: {name} cannot be learned, since no answer is beside it")
        for name, last in (("ask", True), ("ask_past", True), ("next", False), ("close", False)):
            flags = [part.learned for part in getattr(self, name) or ()]
            if flags != sorted(flags, reverse=not last):
                raise ValueError(f"template {self.name}: what is learned of {name} must touch the answer")
        if self.system and self.open_system is None:
            raise ValueError(f"template {self.name} has a system text but no place for one")
        if not self.stop_tokens and not self.stop_strings:
            raise ValueError(f"template {self.name} needs a stop token or a stop string: no answer would end")
        return self


BOS, EOS = Token("bos"), Token("eos", learned=True)
IM_START, IM_END = Token("<|im_start|>"), Token("<|im_end|>", learned=True)

CURIOUS_USER = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
CURIOUS_HUMAN = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
SAFE_ASSISTANT = (
    "You are a helpful, respectful and honest assistant. Always answer as helpfully as possible, while being safe.  "
    "Your answers should not include any harmful, unethical, racist, sexist, toxic, dangerous, or illegal content. "
    "Please ensure that your responses are socially unbiased and positive in nature.\n\n"
    "If a question does not make any sense, or is not factually coherent, explain why instead of answering something "
    "not correct. If you don't know the answer to a question, please don't share false information."
)
VISION_ASSISTANT = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)


def _vicuna(name: str, system: str = "") -> Template:
    """USER and ASSISTANT in plain text; the space before an answer belongs to it, as in the tokens of most models."""
    return Template(
        name=name,
        system=system,
        open=(BOS, Text("USER: ")),
        open_system=(BOS,),
        close_system=(Text(" USER: "),),
        ask=(Text(" ASSISTANT:"), Text(" ", learned=True)),
        next=(EOS, Text("USER: ")),
        close=(EOS,),
    )


def _llama_2(name: str, system: str, again: Piece) -> Template:
    """Instructions in brackets, the system text inside the first; `again` begins every further one."""
    end = (Text(" ", learned=True), EOS)
    return Template(
        name=name,
        system=system,
        open=(BOS, Text("[INST] ")),
        open_system=(BOS, Text("[INST] <<SYS>>\n")),
        close_system=(Text("\n<</SYS>>\n\n"),),
        ask=(Text(" [/INST]"), Text(" ", learned=True)),
        next=(*end, *again, Text("[INST] ")),
        close=end,
    )


def _chatml(name: str, system: str) -> Template:
    """ChatML as LLaVA writes it, without line breaks between the turns."""
    return Template(
        name=name,
        system=system,
        open=(IM_START, Text("user\n")),
        open_system=(IM_START, Text("system\n")),
        close_system=(Token("<|im_end|>"), IM_START, Text("user\n")),
        ask=(Token("<|im_end|>"), IM_START, Text("assistant\n")),
        next=(IM_END, IM_START, Text("user\n")),
        close=(IM_END,),
        stop_tokens=("<|im_end|>", "eos"),
    )


def _llama3(role: str) -> Piece:
    return Token("<|start_header_id|>"), Text(role), Token("<|end_header_id|>"), Text("\n\n")


TEMPLATES: dict[TemplateName, Template] = {
    # LLaVA's stage 1 (its preprocess_plain): the image is the whole prompt, its caption the answer, and a line its end.
    "plain": Template(name="plain", open=(BOS,), ask=(), close=(Text("\n", learned=True),), images_only=True),
    # Vicuna's without the system sentence, which a small context has no room for.
    "user_assistant": _vicuna("user_assistant"),
    # LLaVA's and LLaVAR-2's conversations (their conversation.py).
    "vicuna_v1": _vicuna("vicuna_v1", CURIOUS_USER),
    "v1": _vicuna("v1", CURIOUS_USER),
    "llava_v1": _vicuna("llava_v1", CURIOUS_HUMAN),
    "llava_v0": Template(
        name="llava_v0",
        system=CURIOUS_HUMAN,
        open=(BOS, Text("###Human: ")),
        open_system=(BOS,),
        close_system=(Text("###Human: "),),
        ask=(Text("###Assistant:"), Text(" ", learned=True)),
        next=(Text("###", learned=True), Text("Human: ")),
        close=(Text("###", learned=True),),
        stop_strings=("###",),
    ),
    "llama_2": _llama_2("llama_2", SAFE_ASSISTANT, (Token("<s>"),)),
    "llava_llama_2": _llama_2("llava_llama_2", VISION_ASSISTANT, (Token("<s>"),)),
    "mistral_instruct": _llama_2("mistral_instruct", "", ()),
    "mpt": _chatml(
        "mpt",
        "A conversation between a user and an LLM-based AI assistant. The assistant gives helpful and honest answers.",
    ),
    "chatml_direct": _chatml("chatml_direct", "Answer the questions."),
    "llama3": Template(
        name="llama3",
        system=CURIOUS_USER,
        open=(Token("<|begin_of_text|>"), *_llama3("user")),
        open_system=(Token("<|begin_of_text|>"), *_llama3("system")),
        close_system=(Token("<|eot_id|>"), *_llama3("user")),
        ask=(Token("<|eot_id|>"), *_llama3("assistant")),
        next=(Token("<|eot_id|>", learned=True), *_llama3("user")),
        close=(Token("<|eot_id|>", learned=True),),
        stop_tokens=("<|eot_id|>", "eos"),
    ),
    "phi3_instruct": Template(
        name="phi3_instruct",
        system="You are a helpful AI assistant.",
        open=(BOS, Token("<|user|>"), Text("\n")),
        open_system=(BOS, Token("<|system|>"), Text("\n")),
        close_system=(Token("<|end|>"), Text("\n"), Token("<|user|>"), Text("\n")),
        ask=(Token("<|end|>"), Text("\n"), Token("<|assistant|>"), Text("\n")),
        next=(Token("<|end|>", learned=True), Text("\n"), Token("<|user|>"), Text("\n")),
        close=(Token("<|end|>", learned=True),),
        stop_tokens=("<|end|>", "eos"),
    ),
    # CrystalChat's own (LLM360's preparation of its instruction data): no spaces beside the control tokens, one end of
    # sequence a conversation, and what tells the end of an earlier answer is the next question's start, not learned.
    "crystal_chat": Template(
        name="crystal_chat",
        system="You are a helpful and intelligent assistant. "
        "Follow the instructions and answer the questions as accurately as possible.",
        open=(BOS, IM_START),
        open_system=(BOS, Token("<|sys_start|>")),
        close_system=(Token("<|sys_end|>"), IM_START),
        ask=(Token("<|im_end|>"),),
        next=(IM_START,),
        close=(EOS,),
        stop_tokens=("eos", "<|im_start|>"),
    ),
}

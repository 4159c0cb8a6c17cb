"""Chat templates of tokenizers: a template written as one, or read from one."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, takewhile
from typing import Any, TypeAlias

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerFast, ProcessorMixin

from web2code.modelling.ordinary_text import TextEncoder, text_encoder
from web2code.modelling.prompts import Conversation, Turn, conversation_sample
from web2code.modelling.templates import BOS, Piece, Template, Text, Token

# Harmless contents to look between: a system text, then questions and answers.
PROBES = (
    tuple(f"Zrkq{i}" for i in range(7)),
    tuple(f"<p>Zrkq{i}:\n\n" + "and so on; " * 12 + f"is it 3 > {i}?</p>" for i in range(7)),
)

# With the pieces set before it. Tags are trimmed at both sides: nothing but what they print reaches the prompt.
JINJA = """
{%- macro said(content) -%}
    {%- if content is string -%}
        {{- content -}}
    {%- else -%}
        {%- for part in content -%}
            {{- image ~ ("" if loop.last else "\\n") if part.type == "image" else part.text -}}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- set turns = messages -%}
{%- if messages[0].role == "system" -%}
    {%- set system = said(messages[0].content) -%}
    {%- set turns = messages[1:] -%}
{%- endif -%}
{%- if system and open_system is none -%}
    {{- raise_exception("this template has no place for a system text") -}}
{%- endif -%}
{{- open_system ~ system ~ close_system if system else open -}}
{%- for message in turns -%}
    {%- set text = said(message.content) -%}
    {%- if message.role == "user" -%}
        {%- if not loop.first -%}
            {{- raise_exception("this template holds one question and its answer") if next is none else next -}}
        {%- endif -%}
        {{- image * (text.split(image) | length - 1) if images_only else text -}}
        {%- if not loop.last -%}
            {{- ask if loop.revindex0 == 1 else ask_past -}}
        {%- elif add_generation_prompt -%}
            {{- prompt -}}
        {%- endif -%}
    {%- else -%}
        {{- text -}}
        {{- close if loop.last -}}
    {%- endif -%}
{%- endfor -%}
"""


def write_chat_template(template: Template) -> str:
    """The template as a chat template, for vLLM and users of transformers.

    It makes the same prompt as a string, of which the same token ids follow where no content spells a control token.
    An image of a content in parts is followed by a line break, as `about_image` writes it.
    """
    values = {
        "image": json.dumps(template.image),
        "system": json.dumps(template.system, ensure_ascii=False),
        "images_only": json.dumps(template.images_only),
        "prompt": _expression(tuple(part for part in template.ask if not part.learned)),
        "ask_past": _expression(template.ask if template.ask_past is None else template.ask_past),
    } | {
        name: _expression(getattr(template, name))
        for name in ("open", "open_system", "close_system", "ask", "next", "close")
    }
    return "".join(f"{{%- set {name} = {value} -%}}\n" for name, value in values.items()) + JINJA.strip()


def _expression(piece: Piece | None) -> str:
    """A piece in Jinja's language, in which `bos_token` and `eos_token` are the tokenizer's."""
    if piece is None:
        return "none"
    own = {"bos": "bos_token", "eos": "eos_token"}
    values = [
        own.get(part.token, json.dumps(part.token, ensure_ascii=False))
        if isinstance(part, Token)
        else json.dumps(part.text, ensure_ascii=False)
        for part in piece
    ]
    return " ~ ".join(values) or '""'


@dataclass(frozen=True)
class ProcessorChat:
    """A processor's chat template, called as a tokenizer's: what it makes of texts."""

    processor: ProcessorMixin

    @property
    def chat_template(self) -> str | dict[str, str] | None:
        """None where there is none."""
        return self.processor.chat_template

    def apply_chat_template(
        self, messages: list[dict[str, Any]], tokenize: bool = True, add_generation_prompt: bool = False,
        return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """A string, or its token ids, as tokenizers give them without a beginning of their own."""
        parts = [message | {"content": [{"type": "text", "text": message["content"]}]} for message in messages]
        if not tokenize:
            return self.processor.apply_chat_template(parts, add_generation_prompt=add_generation_prompt)
        made = self.processor.apply_chat_template(
            parts, tokenize=True, return_dict=True, processor_kwargs={"add_special_tokens": False}
        )
        return list(made["input_ids"][0])


Chat: TypeAlias = PreTrainedTokenizerFast | ProcessorChat


def read_processor_template(processor: ProcessorMixin) -> Template:
    """The template that a processor's chat template amounts to, with what it writes around an image.

    Where the chat template leaves it to the tokenizer to write a beginning of sequence, that is there as well.
    ValueError as `read_chat_template`, or where it does not write the processor's image token before a question.
    """
    tokenizer, encoder = processor.tokenizer, text_encoder(processor.tokenizer)
    template = read_chat_template(tokenizer, ProcessorChat(processor))
    plain, pictured = (_units(encoder, _before_question(processor, image)) for image in ([], [{"type": "image"}]))
    shared = len(_shared_start(plain, pictured))
    lead, shown = plain[shared:], pictured[shared:]
    if shown.count(processor.image_token) != 1:
        raise _refusal("does not write an image before the question as one image token")
    place = shown.index(processor.image_token)
    leading = ("open", "next") if template.open_system is None else ("open", "close_system", "next")
    read: dict[str, Any] = {
        "image": processor.image_token,
        "before_text": _parts(encoder, lead),
        "before_image": _parts(encoder, shown[:place]),
        "after_image": _parts(encoder, shown[place + 1 :]),
    } | {name: _without(getattr(template, name), "".join(lead)) for name in leading}
    if "bos" in encoder.own and plain[:1] != [tokenizer.bos_token] and tokenizer("")["input_ids"]:
        read["open"] = (BOS, *read["open"])
        read["open_system"] = None if template.open_system is None else (BOS, *template.open_system)
    return template.model_copy(update=read)


def read_chat_template(tokenizer: PreTrainedTokenizerFast, chat: Chat | None = None) -> Template:
    """The template that a tokenizer's chat template amounts to, found between contents that are put through it.

    The chat template may be another's, whose texts the tokenizer reads. An answer is learned with the spaces before it
    and with what follows it up to the first control token. A date that is written into the pieces stays that of the
    reading. ValueError where there is no chat template, where its pieces depend on the contents, or where other token
    ids come of it.
    """
    chat = chat or tokenizer
    if not chat.chat_template:
        raise ValueError("this tokenizer has no chat template: name a template of ours")
    encoder = text_encoder(tokenizer)
    template, *others = [_read(encoder, chat, system, contents) for system, *contents in PROBES]
    if any(other != template for other in others):
        raise _refusal("writes other pieces around other contents")
    for system, *contents in PROBES:
        for given in (None,) if template.open_system is None else (None, system):
            for length in (2, 4, 6):
                said = contents[:length]
                if _ids(tokenizer, template, said, given) != chat.apply_chat_template(
                    _messages(said, given), return_dict=False
                ):
                    raise _refusal("gives other token ids than its pieces do")
    return template


def _read(encoder: TextEncoder, chat: Chat, system: str, contents: Sequence[str]) -> Template:
    """The template as it shows between a system text and three questions with their answers."""
    opening, ask_past, following, ask, close = _between(chat, contents[:4])
    for num_past in (0, 1, 2):
        before = [opening, *[ask_past, following] * num_past]
        if _between(chat, contents[: 2 * num_past + 2]) != [*before, ask, close]:
            raise _refusal("writes other pieces in longer conversations")
        *past, prompt = _between(chat, contents[: 2 * num_past + 1])
        if past != before or not ask.startswith(prompt.rstrip(" ")):
            raise _refusal("prompts for an answer otherwise than it begins one")
    before_system, after_system = _around_system(chat, system, contents)
    following_units, close_units = _units(encoder, following), _units(encoder, close)
    shared = _shared_start(following_units, close_units)
    end = _to_control(encoder, shared)
    stops = {units[-1] for units in (_to_control(encoder, following_units), _to_control(encoder, close_units)) if units}
    if not stops and not "".join(shared).strip():
        raise _refusal("ends an answer with nothing that generation could stop at")
    return Template(
        name="chat_template",
        open=_piece(encoder, opening),
        open_system=None if before_system is None else _piece(encoder, before_system),
        close_system=_piece(encoder, after_system),
        ask=_asking(encoder, ask),
        ask_past=None if ask_past == ask else _asking(encoder, ask_past),
        next=_ending(encoder, following_units, len(end or shared)),
        close=_ending(encoder, close_units, len(end or _to_control(encoder, close_units) or shared)),
        stop_tokens=(*sorted(stops), *(["eos"] if "eos" in encoder.own else [])),
        stop_strings=() if stops else ("".join(shared),),
    )


def _between(chat: Chat, contents: Sequence[str], system: str | None = None) -> list[str]:
    """What a chat template writes before, between and after contents; where they end with a question, it prompts."""
    asks = len(contents) % 2 == 1
    try:
        text = chat.apply_chat_template(_messages(contents, system), tokenize=False, add_generation_prompt=asks)
    except TemplateError as error:
        raise _refusal(f"does not take plain conversations ({error})") from error
    pieces = []
    for content in [system, *contents] if system else contents:
        piece, found, text = text.partition(content)
        if not found:
            raise _refusal("changes, moves or drops contents")
        pieces.append(piece)
    return [*pieces, text]


def _around_system(chat: Chat, system: str, contents: Sequence[str]) -> tuple[str | None, str]:
    """What stands before and after a system text; None where none is taken, or not before the first question."""
    before, after = None, ""
    for length in (2, 6):
        try:
            before, after, *rest = _between(chat, contents[:length], system)
        except ValueError:
            return None, ""
        if rest != _between(chat, contents[:length])[1:]:
            return None, ""
    return before, after


def _before_question(processor: ProcessorMixin, image: list[dict[str, str]]) -> str:
    """What a processor's chat template writes before a question, with what it is about."""
    content = [*image, {"type": "text", "text": PROBES[0][1]}]
    return processor.apply_chat_template([{"role": "user", "content": content}]).partition(PROBES[0][1])[0]


def _without(piece: Piece, lead: str) -> Piece:
    """A piece that leads to a question, without what a question about an image does not have before it."""
    if not lead:
        return piece
    *parts, last = piece
    if not isinstance(last, Text) or not last.text.endswith(lead):
        raise _refusal("leads to a later question otherwise than to the first")
    rest = last.text.removesuffix(lead)
    return (*parts, replace(last, text=rest)) if rest else tuple(parts)


def _messages(contents: Sequence[str], system: str | None) -> list[dict[str, str]]:
    said = [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]
    return [{"role": "system", "content": system}, *said] if system else said


def _ids(
    tokenizer: PreTrainedTokenizerFast, template: Template, contents: Sequence[str], system: str | None
) -> list[int]:
    turns = tuple(Turn((question,), answer) for question, answer in zip(contents[::2], contents[1::2], strict=True))
    return conversation_sample(tokenizer, template, Conversation(turns, system), image_tokens=0).tokens


def _units(encoder: TextEncoder, text: str) -> list[str]:
    """A text as names of control tokens and single characters."""
    names = map(re.escape, sorted(encoder.control, key=len, reverse=True))
    return re.findall("|".join([*names, "."]), text, re.DOTALL)


def _shared_start(left: list[str], right: list[str]) -> list[str]:
    pairs = zip(left, right, strict=False)
    return [unit for unit, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]


def _to_control(encoder: TextEncoder, units: list[str]) -> list[str]:
    """Units up to the first control token; none where there is no such token."""
    return next((units[: i + 1] for i, unit in enumerate(units) if unit in encoder.control), [])


def _piece(encoder: TextEncoder, text: str) -> Piece:
    return _parts(encoder, _units(encoder, text))


def _asking(encoder: TextEncoder, text: str) -> Piece:
    """What leads to an answer. Spaces right before it are its own, as tokenizers join them to the word that follows."""
    prompt = text.rstrip(" ")
    return _piece(encoder, prompt) + _parts(encoder, list(text[len(prompt) :]), learned=True)


def _ending(encoder: TextEncoder, units: list[str], num_learned: int) -> Piece:
    return _parts(encoder, units[:num_learned], learned=True) + _parts(encoder, units[num_learned:])


def _parts(encoder: TextEncoder, units: list[str], learned: bool = False) -> Piece:
    parts: list[Text | Token] = []
    for is_control, group in groupby(units, encoder.control.__contains__):
        run = list(group)
        parts += [Token(name, learned) for name in run] if is_control else [Text("".join(run), learned)]
    return tuple(parts)


def _refusal(what: str) -> ValueError:
    return ValueError(f"the chat template of this tokenizer {what}: name a template of ours")

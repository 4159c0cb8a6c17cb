"""What a model is asked and what it answers, between text and token ids.

Texts, images and control tokens are joined by token id, never by string: an answer that has `</s>` (HTML's
strikethrough) or `<image>` (SVG) is ordinary text, and cannot move the label mask or the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import ClassVar

from transformers import PreTrainedTokenizerFast

from web2code.modelling.ordinary_text import TextEncoder, text_encoder
from web2code.modelling.samples import IGNORED, Sample
from web2code.modelling.templates import BOS, Template, Text, Token


@dataclass(frozen=True)
class Image:
    """The place of an image in a question."""

    learned: ClassVar = False


IMAGE = Image()


@dataclass(frozen=True)
class Shown:
    """Token ids of an image, and whether the text after them is encoded as at the start of a text."""

    tokens: list[int]
    starts_text: bool
    learned: ClassVar = False


Part = Text | Token | Image


@dataclass(frozen=True)
class Turn:
    """A question, its texts and images in order, and its answer; None is one that is awaited."""

    question: tuple[str | Image, ...]
    answer: str | None


@dataclass(frozen=True)
class Conversation:
    """Turns, of which only the last may await its answer, under a system text; None is the template's own."""

    turns: tuple[Turn, ...]
    system: str | None = None

    def __post_init__(self) -> None:
        if not self.turns or any(turn.answer is None for turn in self.turns[:-1]):
            raise ValueError("a conversation needs a question, and an answer to every question but the last")


def about_image(*turns: tuple[str, str | None], line: str = "\n") -> Conversation:
    """Questions and answers about one image, before the first question and, unless `line` is empty, a line of its own.

    It is empty where the template itself says what stands after an image.
    """
    (question, answer), *others = turns
    first = Turn((IMAGE, line + question), answer)
    return Conversation((first, *(Turn((question,), answer) for question, answer in others)))


def question_about(question: str, num_images: int, line: str = "\n") -> Conversation:
    """A question that awaits its answer, after as many images, each followed by `line` as `about_image` writes it."""
    return Conversation((Turn((*(IMAGE, line) * num_images, question), None),))


def conversation_sample(
    tokenizer: PreTrainedTokenizerFast,
    template: Template,
    conversation: Conversation,
    image_tokens: int | Sequence[int],
) -> Sample:
    """A conversation to learn from: every answer is learned, with what the template learns beside it.

    An image takes `image_tokens` positions, or is these token ids. ValueError where the last answer is missing, or
    where template or tokenizer lack what the conversation needs.
    """
    if conversation.turns[-1].answer is None:
        raise ValueError("a training sample needs an answer to its last question")
    return _join(text_encoder(tokenizer), template, conversation, image_tokens)


def conversation_prompt(
    tokenizer: PreTrainedTokenizerFast,
    template: Template,
    conversation: Conversation,
    image_tokens: int | Sequence[int] | Iterator[Sequence[int]],
) -> list[int]:
    """Token ids up to where the awaited answer starts: as a training sample begins, whatever its answer.

    An image takes `image_tokens` positions, or is these token ids, or for each image in turn those of the iterator.
    """
    if conversation.turns[-1].answer is not None:
        raise ValueError("a prompt ends with a question: leave its answer out")
    return _join(text_encoder(tokenizer), template, conversation, image_tokens).tokens


def template_text(template: Template, conversation: Conversation) -> str:
    """What a tokenizer meets of a conversation besides control tokens and images."""
    return "".join(part.text for part in chain(*_pieces(template, conversation)) if isinstance(part, Text))


def stop_ids(tokenizer: PreTrainedTokenizerFast, template: Template) -> list[int]:
    """Ids of the tokens that end an answer."""
    encoder = text_encoder(tokenizer)
    return sorted({encoder.token(name).id for name in template.stop_tokens})


def answer_text(tokenizer: PreTrainedTokenizerFast, template: Template, tokens: list[int]) -> str:
    """The answer that generated token ids spell, up to the first stop token or stop string."""
    stops = set(stop_ids(tokenizer, template))
    end = next((i for i, token in enumerate(tokens) if token in stops), len(tokens))
    text = tokenizer.decode(tokens[:end], skip_special_tokens=True)
    return min((text.split(stop)[0] for stop in template.stop_strings), key=len, default=text).strip()


def _pieces(template: Template, conversation: Conversation) -> Iterator[tuple[Part, ...]]:
    """What a conversation consists of, in order: the template's pieces and, between them, what is said."""
    system = template.system if conversation.system is None else conversation.system
    if not system:
        yield template.open
    elif template.open_system is None:
        raise ValueError(f"template {template.name} has no place for a system text: leave it out")
    else:
        yield from (template.open_system, (Text(system),), template.close_system)
    for number, turn in enumerate(conversation.turns, 1):
        if number > 1:
            if template.next is None:
                raise ValueError(f"template {template.name} holds one question and its answer: give one turn")
            yield template.next
        lead = () if IMAGE in turn.question else template.before_text
        yield (*lead, *chain.from_iterable(_asked(template, part) for part in turn.question))
        past = number < len(conversation.turns)
        ask = template.ask_past if past and template.ask_past is not None else template.ask
        if turn.answer is None:
            yield tuple(part for part in ask if not part.learned)
            return
        yield from (ask, (Text(turn.answer, learned=True),))
    yield template.close


def _asked(template: Template, part: str | Image) -> tuple[Part, ...]:
    """What a part of a question becomes."""
    if isinstance(part, Image):
        return (*template.before_image, part, *template.after_image)
    return () if template.images_only else (Text(part),)


def _join(
    encoder: TextEncoder,
    template: Template,
    conversation: Conversation,
    image_tokens: int | Sequence[int] | Iterator[Sequence[int]],
) -> Sample:
    """Token ids and labels of a conversation, in which every control token is given by its id."""
    tokens: list[int] = []
    labels: list[int] = []
    starts = True
    parts = chain.from_iterable(_as_met(encoder, piece) for piece in _pieces(template, conversation))
    for part in _touching_as_one(_with_shown(encoder, template, parts, image_tokens)):
        if isinstance(part, Text):
            ids, starts = encoder.encode(part.text, starts), False
        elif isinstance(part, Shown):
            ids, starts = part.tokens, part.starts_text
        else:
            control = encoder.token(part.token)
            ids, starts = [control.id], control.starts_text
        tokens += ids
        labels += ids if part.learned else [IGNORED] * len(ids)
    return Sample(tokens, labels)


def _with_shown(
    encoder: TextEncoder,
    template: Template,
    parts: Iterable[Part],
    image_tokens: int | Sequence[int] | Iterator[Sequence[int]],
) -> Iterator[Text | Token | Shown]:
    """The parts with what images take in their places."""
    for part in parts:
        if isinstance(part, Image):
            taken = next(image_tokens) if isinstance(image_tokens, Iterator) else image_tokens
            yield from _shown(encoder, template, taken)
        else:
            yield part


def _shown(encoder: TextEncoder, template: Template, taken: int | Sequence[int]) -> tuple[Text, Shown, Text]:
    """What an image takes: its token ids from the first control token to the last, and the text at both sides of them.

    That is ordinary text, which a tokenizer joins with the text beside it.
    """
    image = encoder.token(template.image)
    ids = [image.id] * taken if isinstance(taken, int) else [*taken]
    # From both ends, since nearly always the first and the last are control tokens, of hundreds.
    first = next((place for place, id in enumerate(ids) if id in encoder.names), 0)
    end = len(ids) - next((place for place, id in enumerate(reversed(ids)) if id in encoder.names), 0)
    last = encoder.names.get(ids[end - 1], template.image) if ids else template.image
    shown = Shown(ids[first:end], encoder.token(last).starts_text)
    return Text(encoder.decode(ids[:first])), shown, Text(encoder.decode(ids[end:]))


def _as_met(encoder: TextEncoder, piece: tuple[Part, ...]) -> Iterator[Part]:
    """A piece as a tokenizer meets it: without the `bos` that it lacks and the space that control tokens swallow."""
    met = [part for part in piece if part != BOS or "bos" in encoder.own]
    for left, part, right in zip([None, *met], met, [*met[1:], None], strict=False):
        if isinstance(part, Text):
            text = part.text
            if isinstance(left, Token) and encoder.token(left.token).swallows_right:
                text = text.lstrip()
            if isinstance(right, Token) and encoder.token(right.token).swallows_left:
                text = text.rstrip()
            part = Text(text, part.learned)
        yield part


def _touching_as_one(parts: Iterable[Text | Token | Shown]) -> Iterator[Text | Token | Shown]:
    """Parts with neighbouring texts joined, as a string's tokens know no seam, but never across the edge of a label."""
    for key, group in groupby((part for part in parts if part != Text("", part.learned)), _seam):
        if key is None:
            yield from group
        else:
            yield Text("".join(part.text for part in group if isinstance(part, Text)), key)


def _seam(part: Text | Token | Shown) -> bool | None:
    return part.learned if isinstance(part, Text) else None

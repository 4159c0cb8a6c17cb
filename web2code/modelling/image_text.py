"""Image-text-to-text models as they are published: the model, and what its processor makes of text and pictures."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    BatchFeature,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)
from transformers.utils import is_torchvision_available

from web2code.config import ImageTextConfig, PictureFormat, StageTemplate
from web2code.modelling.backbones import image_text_config, source
from web2code.modelling.chat_templates import read_processor_template
from web2code.modelling.images import decoded
from web2code.modelling.ordinary_text import encode
from web2code.modelling.prompts import IMAGE, Conversation, Turn, about_image, conversation_sample
from web2code.modelling.templates import TEMPLATES, Template, Text

# A picture that stands in where there is none, and one to try a chat template with.
STAND_IN = Image.new("RGB", (56, 56), "white")
PROBE = Image.new("RGB", (90, 70), "gray")
# How the names end of what processors tell of every position of the input.
TYPES = "token_type_ids"
OF_TEXT = ("input_ids", "attention_mask")


@dataclass(frozen=True)
class ImageTextProcessor:
    """A model's own processor: an image takes as many tokens as it says, and has the pixels that it gives.

    What stands between an image and the question is the template's, not the conversation's (`line`).
    """

    processor: ProcessorMixin
    line: ClassVar = ""
    form: ClassVar[PictureFormat] = "original"

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    def tokens(self, picture: bytes) -> list[int]:
        """The token ids that a picture becomes, which are those of every picture of its size."""
        image = decoded(picture)
        if image.size not in self._by_size:
            self._by_size[image.size] = self._tokens(image)
        return self._by_size[image.size]

    def stored(self, picture: bytes) -> bytes:
        """What is kept of a picture for training: all of it, as the processor's pixels are many times as large.

        ValueError or OSError where it cannot be read.
        """
        decoded(picture)
        return picture

    def tensors(self, pictures: list[bytes], dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """What the model sees of pictures, in their order: pixels, and whatever else the processor tells of them."""
        told = _told(self._made([decoded(picture) for picture in pictures]))
        tensors = {name: torch.as_tensor(value) for name, value in told.items() if not name.endswith(TYPES)}
        return {name: value.to(dtype) if value.is_floating_point() else value for name, value in tensors.items()}

    def positions(self, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the model is told of every position, by the names that its processor has for it.

        Of these it makes position ids, or lets the positions of an image see each other; others need nothing.
        """
        rows = input_ids.tolist()
        return {name: torch.as_tensor(np.asarray(types(rows))) for name, types in self._types.items()}

    @cached_property
    def stand_in(self) -> tuple[list[int], bytes]:
        """The token ids of a small picture, and the picture."""
        stream = io.BytesIO()
        STAND_IN.save(stream, "PNG")
        return self._tokens(STAND_IN), stream.getvalue()

    def template(self, name: StageTemplate) -> Template:
        """The chat template that the processor comes with, or one of ours with the processor's image token.

        ValueError where the chat template cannot be followed to the same token ids, or where the processor tells the
        model of a conversation what it does not tell of pictures and positions apart.
        """
        self._check_told()
        if name != "own":
            # As LLaVA writes an image: on a line of its own.
            own = {"image": self.processor.image_token, "after_image": (Text("\n"),)}
            return TEMPLATES[name].model_copy(update=own)
        template = read_processor_template(self.processor)
        ids = self._tokens(PROBE)
        for conversation in (
            about_image(("Why?", "So."), ("a <b>?", "Yes"), line=""),
            Conversation((Turn(("?",), "!"),)),
        ):
            given = self.processor.apply_chat_template(_messages(conversation), tokenize=True, return_dict=True)
            if list(given["input_ids"][0]) != conversation_sample(self.tokenizer, template, conversation, ids).tokens:
                raise ValueError(
                    f"{type(self.processor).__name__} gives other token ids for an image than its chat template's "
                    "pieces do: name a template of ours"
                )
        return template

    def save(self, directory: Path) -> None:
        """Write it as it is read by `AutoProcessor`."""
        self.processor.save_pretrained(directory)
        # Where videos have no configuration of their own, it is this one.
        self.processor.image_processor.save_pretrained(directory)

    @cached_property
    def _by_size(self) -> dict[tuple[int, int], list[int]]:
        return {}

    @cached_property
    def _types(self) -> dict[str, Callable[[list[list[int]]], Any]]:
        """What tells an image's positions from others, by its name; what is a tokenizer's own tells nothing of them."""
        names, default = _told(self._made([STAND_IN])), self.processor.create_mm_token_type_ids
        return {name: getattr(self.processor, f"create_{name}", default) for name in names if name.endswith(TYPES)}

    def _check_told(self) -> None:
        """ValueError where the processor tells of pictures by the text that is around them."""
        given = self._made([PROBE], question="Why?")
        apart = _told(self._made([PROBE])) | self.positions(torch.as_tensor(np.asarray(given["input_ids"])))
        if other := [name for name, value in _told(given).items() if not np.array_equal(value, apart.get(name, ()))]:
            raise ValueError(
                f"{type(self.processor).__name__} tells of a question {' and '.join(other)}, which it does not tell of "
                "pictures and positions apart: choose another model"
            )

    def _tokens(self, image: Image.Image) -> list[int]:
        return list(self._made([image])["input_ids"][0])

    def _made(self, images: list[Image.Image], question: str = "") -> BatchFeature:
        """What the processor makes of images, each with the same question or all there is."""
        text = [self.processor.image_token + question] * len(images)
        return self.processor(images=[[image] for image in images], text=text, add_special_tokens=False)


def _told(made: BatchFeature) -> dict[str, np.ndarray]:
    """What a processor tells besides token ids: of pictures, and of the first text's positions where they differ."""
    types = {name: np.asarray(value[:1]) for name, value in made.items() if name.endswith(TYPES)}
    pictures = {name: np.asarray(value) for name, value in made.items() if name not in (*OF_TEXT, *types)}
    return pictures | {name: value for name, value in types.items() if value.any()}


def load_image_text(model: ImageTextConfig, dtype: torch.dtype) -> tuple[PreTrainedModel, ImageTextProcessor]:
    """A published model, read from the hub or a folder, with its processor.

    Raises:
        ValueError: there is no such model, its context is too short, its pictures have no bounds in pixels, or its
            output layer does not tell the next token.
    """
    hub, revision = source(model.name, model.revision)
    try:
        processor = load_processor(hub, revision)
        loaded = AutoModelForImageTextToText.from_pretrained(hub, revision=revision, dtype=dtype)
    except (ImportError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"no image-text-to-text model {model.name!r} ({reason}): name a folder or a public name"
        ) from None
    check_context(model, loaded.config)
    check_logits(model, loaded, encode(processor.tokenizer, "a page"))
    _bound(processor, model)
    processor.tokenizer.model_max_length = model.max_length
    return loaded, ImageTextProcessor(processor)


def load_processor(name: str | Path, revision: str = "main") -> ProcessorMixin:
    """The processor of a model on the hub or in a folder; where torchvision is not installed, without its videos.

    Raises:
        ImportError: it cannot be had without a package that is not installed.
    """
    from transformers import PROCESSOR_MAPPING, AutoProcessor  # heavy: these know all processors

    config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
    kind = PROCESSOR_MAPPING.get(type(config), None)
    videos = inspect.signature(kind.__init__).parameters.get("video_processor") if kind else None
    if videos and videos.default is None and not is_torchvision_available():
        return without_videos(kind).from_pretrained(name, revision=revision)
    return AutoProcessor.from_pretrained(name, revision=revision)


def without_videos(kind: type[ProcessorMixin]) -> type[ProcessorMixin]:
    """A class of processors by the same name that asks for no video processor, which needs torchvision."""
    attributes = [name for name in kind.get_attributes() if name != "video_processor"]
    return type(kind.__name__, (kind,), {"get_attributes": classmethod(lambda cls: attributes)})


def model_config(model: ImageTextConfig) -> PreTrainedConfig:
    """A model's configuration: of the table without reading anything, of the hub or a folder otherwise.

    Raises:
        ValueError: it is neither, or its context is too short.
    """
    config = image_text_config(model.name, model.revision)
    check_context(model, config)
    return config


def check_context(model: ImageTextConfig, config: PreTrainedConfig) -> None:
    """ValueError where the model reads fewer tokens than its recipe gives it."""
    context = config.get_text_config().max_position_embeddings
    if model.max_length > context:
        raise ValueError(
            f"model.max_length: {model.name} reads at most {context} tokens, not {model.max_length}: lower it"
        )


@torch.no_grad()
def check_logits(model: ImageTextConfig, loaded: PreTrainedModel, tokens: list[int]) -> None:
    """ValueError where the token after others is not told by the output layer alone, of which the loss is."""
    if loaded.config.is_encoder_decoder or not (hasattr(loaded, "model") and hasattr(loaded, "lm_head")):
        raise ValueError(f"model.name: {model.name} has no lm_head that continues the text of a model: choose another")
    ids = torch.tensor([tokens])
    hidden = loaded.model(input_ids=ids, use_cache=False).last_hidden_state
    if not torch.equal(loaded.lm_head(hidden), loaded(input_ids=ids, use_cache=False).logits):
        raise ValueError(
            f"model.name: {model.name} scales or caps what its output layer gives, which training does not: choose "
            "another model"
        )


def _bound(processor: ProcessorMixin, model: ImageTextConfig) -> None:
    """Have pictures resized to so many pixels."""
    bounds = {"shortest_edge": model.min_pixels, "longest_edge": model.max_pixels}
    given = {name: value for name, value in bounds.items() if value is not None}
    kind = processor.image_processor.valid_kwargs
    if given and "max_pixels" not in kind.__annotations__:
        raise ValueError(f"model.max_pixels: pictures of {model.name} have no bounds in pixels: leave them out")
    if given:
        processor.image_processor.size = dict(processor.image_processor.size) | given


def _messages(conversation: Conversation) -> list[dict[str, Any]]:
    """A conversation as processors take it."""
    messages: list[dict[str, Any]] = []
    for turn in conversation.turns:
        asked: list[dict[str, Any]] = [
            {"type": "image", "image": PROBE} if part == IMAGE else {"type": "text", "text": part}
            for part in turn.question
        ]
        messages.append({"role": "user", "content": asked})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": turn.answer}]})
    return messages

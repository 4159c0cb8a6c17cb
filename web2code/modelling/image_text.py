"""Image-text-to-text models as they are published: the model, and what its processor makes of text and pictures."""

from __future__ import annotations

import io
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
from web2code.modelling.prompts import IMAGE, Conversation, Turn, about_image, conversation_sample
from web2code.modelling.templates import TEMPLATES, Template, Text

# A picture that stands in where there is none, and one to try a chat template with.
STAND_IN = Image.new("RGB", (56, 56), "white")
PROBE = Image.new("RGB", (90, 70), "gray")
# What a model is told of every position of its input, where its processor tells it.
POSITIONS = "mm_token_type_ids"
OF_TEXT = ("input_ids", "attention_mask", "token_type_ids", POSITIONS)


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
        made = self._made([decoded(picture) for picture in pictures])
        tensors = {name: torch.as_tensor(np.asarray(value)) for name, value in made.items() if name not in OF_TEXT}
        return {name: value.to(dtype) if value.is_floating_point() else value for name, value in tensors.items()}

    def positions(self, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the model is told of every position, of which it makes position ids; nothing where it needs nothing."""
        if POSITIONS not in self.processor.model_input_names:
            return {}
        return {POSITIONS: torch.tensor(self.processor.create_mm_token_type_ids(input_ids.tolist()))}

    @cached_property
    def stand_in(self) -> tuple[list[int], bytes]:
        """The token ids of a small picture, and the picture."""
        stream = io.BytesIO()
        STAND_IN.save(stream, "PNG")
        return self._tokens(STAND_IN), stream.getvalue()

    def template(self, name: StageTemplate) -> Template:
        """The chat template that the processor comes with, or one of ours with the processor's image token.

        ValueError where the chat template cannot be followed to the same token ids.
        """
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

    def _tokens(self, image: Image.Image) -> list[int]:
        return list(self._made([image])["input_ids"][0])

    def _made(self, images: list[Image.Image]) -> BatchFeature:
        """What the processor makes of images that are all there is."""
        text = [self.processor.image_token] * len(images)
        return self.processor(images=images, text=text, add_special_tokens=False)


def load_image_text(model: ImageTextConfig, dtype: torch.dtype) -> tuple[PreTrainedModel, ImageTextProcessor]:
    """A published model, read from the hub or a folder, with its processor.

    Raises:
        ValueError: there is no such model, its context is too short, or its pictures have no bounds in pixels.
    """
    hub, revision = source(model.name, model.revision)
    try:
        processor = load_processor(hub, revision)
        loaded = AutoModelForImageTextToText.from_pretrained(hub, revision=revision, dtype=dtype)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"no image-text-to-text model {model.name!r} ({reason}): name a folder or a public name"
        ) from None
    check_context(model, loaded.config)
    _bound(processor, model)
    processor.tokenizer.model_max_length = model.max_length
    return loaded, ImageTextProcessor(processor)


def load_processor(name: str | Path, revision: str = "main") -> ProcessorMixin:
    """The processor of a model on the hub or in a folder; where torchvision is not installed, without its videos."""
    from transformers import PROCESSOR_MAPPING, AutoProcessor  # heavy: these know all processors

    config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
    kind = PROCESSOR_MAPPING.get(type(config), None)
    if kind and "video_processor" in kind.get_attributes() and not is_torchvision_available():
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

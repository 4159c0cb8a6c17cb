"""The base checkpoint: a LLaVA model with a small CLIP tower and a small Llama, made from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import torch
from pydantic import ValidationError
from transformers import (
    AutoTokenizer,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaImageProcessorPil,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from web2code.config import Config, ModelConfig, TemplateName
from web2code.modelling.chat_templates import write_chat_template
from web2code.modelling.image_text import ImageTextProcessor, load_processor
from web2code.modelling.images import pixel_statistics
from web2code.modelling.prompts import stop_ids
from web2code.modelling.templates import TEMPLATES, Template

PROMPTING = "prompting.json"
CHAT_TEMPLATE = "chat_template.jinja"


class Prompting(Config):
    """How a checkpoint is prompted: the whole template, which stays when ours change, or the name of one of ours.

    Its pictures are squares, as LLaVA's, or what the processor beside it makes of them.
    """

    template: Template | TemplateName
    pictures: Literal["square", "processor"] = "square"


# What makes of texts a checkpoint's input, and where it is a processor of pictures as well.
Reader: TypeAlias = PreTrainedTokenizerFast | ImageTextProcessor


def build_model(config: ModelConfig, tokenizer: PreTrainedTokenizerFast, seed: int) -> LlavaForConditionalGeneration:
    """A randomly initialised model of the configured shape; the same seed gives the same weights."""
    vision, language = config.vision, config.language
    torch.manual_seed(seed)
    return LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(
                image_size=vision.image_size,
                patch_size=vision.patch_size,
                hidden_size=vision.hidden_size,
                intermediate_size=vision.intermediate_size,
                num_hidden_layers=vision.num_layers,
                num_attention_heads=vision.num_heads,
            ),
            text_config=LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=language.hidden_size,
                intermediate_size=language.intermediate_size,
                num_hidden_layers=language.num_layers,
                num_attention_heads=language.num_heads,
                num_key_value_heads=language.num_heads,
                max_position_embeddings=language.max_length,
                tie_word_embeddings=True,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            ),
            image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
            image_seq_length=num_image_tokens(config),
            vision_feature_layer=config.vision_feature_layer,
            tie_word_embeddings=True,
        )
    )


def num_image_tokens(config: ModelConfig) -> int:
    """Positions that an image takes in a sequence: one for each patch."""
    return (config.vision.image_size // config.vision.patch_size) ** 2


def image_processor(vision: PreTrainedConfig) -> LlavaImageProcessorPil:
    """`square_pixels` and `normalise` of `web2code.modelling.images`, for those who have transformers alone.

    A picture of six times the size and more is reduced in one step here and in two there: its pixels differ a little.
    """
    mean, std = pixel_statistics(vision)
    return LlavaImageProcessorPil(
        do_pad=True,
        size={"shortest_edge": vision.image_size},
        crop_size={"height": vision.image_size, "width": vision.image_size},
        image_mean=list(mean),
        image_std=list(std),
    )


def save_checkpoint(
    directory: Path,
    model: PreTrainedModel,
    reader: Reader,
    template: Template,
) -> None:
    """Write weights (safetensors), tokenizer, image processor and the template that the model was trained with.

    The template is also the tokenizer's chat template, and its stop tokens are those of the generation config; of a
    model that is published whole both stay as they are.
    """
    if isinstance(reader, ImageTextProcessor):
        model.save_pretrained(directory, safe_serialization=True)
        reader.save(directory)
        prompting = Prompting(template=template, pictures="processor")
    else:
        model.generation_config.eos_token_id = stop_ids(reader, template)
        model.save_pretrained(directory, safe_serialization=True)
        reader.save_pretrained(directory)
        image_processor(model.config.vision_config).save_pretrained(directory)
        (directory / CHAT_TEMPLATE).write_text(write_chat_template(template))
        prompting = Prompting(template=template)
    (directory / PROMPTING).write_text(prompting.model_dump_json(indent=1))


def load_template(directory: Path) -> Template:
    """The template that a checkpoint was trained with; ValueError where it does not say, or says it wrongly."""
    template = _prompting(directory).template
    return template if isinstance(template, Template) else TEMPLATES[template]


def load_reader(directory: Path) -> Reader:
    """A checkpoint's tokenizer, or the processor that it has in place of one; ValueError as `load_template`."""
    if _prompting(directory).pictures == "processor":
        return ImageTextProcessor(load_processor(directory))
    return AutoTokenizer.from_pretrained(directory)


def _prompting(directory: Path) -> Prompting:
    path = directory / PROMPTING
    if not path.exists():
        raise ValueError(f"{path} is missing, so nothing tells how the model is prompted: write one")
    try:
        return Prompting.model_validate_json(path.read_text())
    except ValidationError as error:
        raise ValueError(f"{path} is neither the name of a template nor a template: {error}") from error

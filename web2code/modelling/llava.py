"""LLaVA models of published parts: empty, shrunken for tests, or joined from real checkpoints."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    CLIPVisionConfig,
    CLIPVisionModel,
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import cached_file

from web2code.config import PretrainedModelConfig, StageTemplate
from web2code.modelling.backbones import LANGUAGE_MODELS, VISION_TOWERS, language_config, source, vision_config
from web2code.modelling.chat_templates import read_chat_template
from web2code.modelling.convnext_weights import from_timm
from web2code.modelling.dual_tower import DualTower, DualTowerConfig
from web2code.modelling.image_text import ImageTextProcessor
from web2code.modelling.language_models import TOY_LANGUAGE, require_language_model, set_values, toy_config
from web2code.modelling.templates import TEMPLATES, Template

IMAGE_TOKEN = "<image>"
# Embeddings grow to a multiple of this, for the sake of tensor cores.
ROWS = 64
# What timm names the file of a model's weights.
TIMM_WEIGHTS = "model.safetensors"

TOY_VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2}
TOY_CONVNEXT = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
TOY_PATCHES = 2
# Pixels of a feature of any ConvNeXt with four stages.
CONVNEXT_STRIDE = 32


class LinearProjector(nn.Module):
    """The first LLaVA's projector: one matrix (arXiv 2304.08485, section 4.1)."""

    def __init__(self, config: LlavaConfig) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(config.vision_config.hidden_size, config.text_config.hidden_size)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.linear_1(features)


class LinearLlavaForConditionalGeneration(LlavaForConditionalGeneration):
    """LLaVA with a linear projector, which transformers' own class does not have."""

    def __init__(self, config: LlavaConfig) -> None:
        super().__init__(config)
        self.model.multi_modal_projector = LinearProjector(config)
        self.post_init()


@dataclass(frozen=True)
class Assembled:
    """A base checkpoint in memory; a model that is published whole has a processor besides."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    processor: ImageTextProcessor | None = None


def llava_config(model: PretrainedModelConfig, num_tokens: int | None = None) -> LlavaConfig:
    """The architecture that a recipe asks for, the image token's row included.

    `num_tokens` counts the tokens of the language model's tokenizer, which the table of backbones knows; of others it
    is taken to have one for every row of the embeddings.

    Raises:
        ValueError: an unknown backbone, a context that is too short or not known, or features that the tower does not
            have.
    """
    text = language_config(model.language_model, model.language_revision)
    vision = vision_config(model.vision_tower, model.vision_revision)
    context = getattr(text, "max_position_embeddings", None)
    if context is None:
        raise ValueError(
            f"model.language_model: {model.language_model} ({text.model_type}) does not say how many tokens it reads: "
            "choose another model"
        )
    if model.max_length > context:
        raise ValueError(
            f"model.max_length: {model.language_model} reads at most {context} tokens, not {model.max_length}: lower it"
        )
    known = LANGUAGE_MODELS.get(model.language_model)
    image_token = num_tokens or (known.num_tokens if known else text.vocab_size)
    if image_token >= text.vocab_size:
        text.vocab_size = -(-(image_token + 1) // ROWS) * ROWS
    return LlavaConfig(
        text_config=text,
        vision_config=vision,
        image_token_index=image_token,
        image_seq_length=_image_tokens(model, vision),
        vision_feature_layer=model.vision_feature_layer,
        vision_feature_select_strategy=model.vision_feature_select,
        projector_type=model.projector,
    )


def model_class(config: LlavaConfig) -> type[LlavaForConditionalGeneration]:
    """The class that has the projector that a configuration names."""
    linear = getattr(config, "projector_type", "") == "linear"
    return LinearLlavaForConditionalGeneration if linear else LlavaForConditionalGeneration


def empty_model(config: PreTrainedConfig) -> PreTrainedModel:
    """The model on the meta device: every parameter's shape, and no memory."""
    with torch.device("meta"):
        if not isinstance(config, LlavaConfig):
            return AutoModelForImageTextToText.from_config(config)
        return model_class(config)._from_config(config)


def load_model(directory: Path, dtype: torch.dtype | Literal["auto"] = "auto") -> PreTrainedModel:
    """A saved model, of LLaVA whichever projector it has; `auto` keeps the weights as they were saved."""
    config = AutoConfig.from_pretrained(directory)
    if not isinstance(config, LlavaConfig):
        return AutoModelForImageTextToText.from_pretrained(directory, config=config, dtype=dtype)
    return model_class(config).from_pretrained(directory, config=config, dtype=dtype)


def assemble(model: PretrainedModelConfig, dtype: torch.dtype, seed: int) -> Assembled:
    """Join a language model and a vision tower, read from the hub or from folders, by a new projector.

    The tokenizer gets the image token, and the end and padding tokens of the backbone. As in LLaVA the projector starts
    as torch initialises linear layers; the same seed gives the same weights.

    Raises:
        ValueError: as `llava_config` and `require_language_model`, or the tokenizer lacks a token that the backbone is
            said to have.
    """
    require_language_model(model.language_model, language_config(model.language_model, model.language_revision))
    torch.manual_seed(seed)
    hub, revision = source(model.language_model, model.language_revision)
    tokenizer = _tokenizer(model, hub, revision)
    num_tokens = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    config = llava_config(model, num_tokens)
    language = AutoModelForCausalLM.from_pretrained(hub, revision=revision, dtype=dtype)
    if config.text_config.vocab_size > language.config.vocab_size:
        language.resize_token_embeddings(config.text_config.vocab_size)
    llava = empty_model(config)
    llava.model.language_model = language.get_decoder()
    llava.lm_head = language.get_output_embeddings()
    llava.model.vision_tower = _vision_tower(model, config.vision_config, dtype)
    llava.model.multi_modal_projector = type(llava.model.multi_modal_projector)(config).to(dtype)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    config.text_config.update(ids)
    llava.generation_config = GenerationConfig(**ids)
    return Assembled(llava, tokenizer)


def language_template(model: str, tokenizer: PreTrainedTokenizerFast, name: StageTemplate) -> Template:
    """One of our templates, or a language model's own: of the table of backbones, or else its tokenizer's.

    Raises:
        ValueError: it has none of its own, or one whose token ids cannot be followed.
    """
    if name != "own":
        return TEMPLATES[name]
    if known := LANGUAGE_MODELS.get(model):
        return TEMPLATES[known.template]
    try:
        return read_chat_template(tokenizer)
    except ValueError as error:
        raise ValueError(
            f"instruct.template: {model} has no template of its own: {error}: {', '.join(TEMPLATES)}"
        ) from None


def shrunken(config: LlavaConfig) -> LlavaConfig:
    """The same architecture, with its classes and switches, at toy widths: for tests."""
    small = deepcopy(config)
    small.text_config, vision = toy_config(config.text_config), small.vision_config
    if isinstance(vision, DualTowerConfig):
        set_values(vision.clip_config, TOY_VISION | {"image_size": TOY_PATCHES * vision.clip_config.patch_size})
        set_values(vision.convnext_config, TOY_CONVNEXT)
        vision.image_size = TOY_PATCHES * CONVNEXT_STRIDE
        small.image_seq_length = vision.num_image_tokens
    else:
        class_tokens = config.image_seq_length - (vision.image_size // vision.patch_size) ** 2
        set_values(vision, TOY_VISION | {"image_size": TOY_PATCHES * vision.patch_size})
        small.image_seq_length = TOY_PATCHES**2 + class_tokens
    small.image_token_index = TOY_LANGUAGE["vocab_size"] - 1
    return small


def _image_tokens(model: PretrainedModelConfig, vision: PreTrainedConfig) -> int:
    """Positions that a picture takes: one for each patch, and one for the class token where it is not left out."""
    clip = isinstance(vision, CLIPVisionConfig)
    if model.vision_feature_select == "default" and not clip:
        raise ValueError(
            f"model.vision_feature_select: {model.vision_tower} has no class token to leave out: set it to full"
        )
    if isinstance(vision, DualTowerConfig):
        if model.vision_feature_layer != -1:
            raise ValueError("model.vision_feature_layer: a dual tower has one layer of features: set it to -1")
        return vision.num_image_tokens
    return (vision.image_size // vision.patch_size) ** 2 + (clip and model.vision_feature_select == "full")


def _vision_tower(model: PretrainedModelConfig, config: PreTrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    hub, revision = source(model.vision_tower, model.vision_revision)
    known = VISION_TOWERS.get(model.vision_tower)
    if not known or not known.slow_hub:
        return MODEL_MAPPING[type(config)].from_pretrained(hub, revision=revision, config=config, dtype=dtype)
    tower = DualTower(config)
    tower.clip.load_state_dict(CLIPVisionModel.from_pretrained(hub, revision=revision).state_dict())
    tower.convnext.load_state_dict(from_timm(load_file(cached_file(known.slow_hub, TIMM_WEIGHTS))))
    return tower.to(dtype)


def _tokenizer(model: PretrainedModelConfig, hub: str, revision: str) -> PreTrainedTokenizerFast:
    tokenizer = AutoTokenizer.from_pretrained(hub, revision=revision)
    if known := LANGUAGE_MODELS.get(model.language_model):
        for token in (known.bos, known.eos, known.pad):
            if token not in tokenizer.get_vocab():
                raise ValueError(f"the tokenizer of {hub} at {revision} has no {token}: name another revision")
        tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token = known.bos, known.eos, known.pad
    elif tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": "<pad>"})
    tokenizer.add_tokens([IMAGE_TOKEN], special_tokens=True)
    tokenizer.model_max_length = model.max_length
    return tokenizer

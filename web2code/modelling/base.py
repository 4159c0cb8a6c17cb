"""The base checkpoint: a LLaVA model with a small CLIP tower and a small Llama, made from scratch."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from web2code.config import ModelConfig

PROMPTING = "prompting.json"


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


def save_checkpoint(
    directory: Path,
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    template: str,
    state_dict: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write weights (safetensors), tokenizer, image processor and the template that the model was trained with."""
    model.save_pretrained(directory, state_dict=state_dict, safe_serialization=True)
    tokenizer.save_pretrained(directory)
    size = model.config.vision_config.image_size
    CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size}).save_pretrained(
        directory
    )
    (directory / PROMPTING).write_text(json.dumps({"template": template}))


def load_template(directory: Path) -> str:
    """The template that a checkpoint was trained with."""
    return json.loads((directory / PROMPTING).read_text())["template"]

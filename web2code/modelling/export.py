"""A checkpoint as a folder for serving, in the layout of the published LLaVA models that vLLM reads."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoTokenizer,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from transformers.conversion_mapping import get_model_conversion_mapping

from web2code.artifacts import RECORD, publish, sha256_of
from web2code.config import Config, WeightsType, digest
from web2code.modelling.base import image_processor, load_template, save_checkpoint
from web2code.modelling.chat_templates import write_chat_template
from web2code.modelling.llava import LinearLlavaForConditionalGeneration, empty_model, model_class

# By model type, the features that a tower has besides one for each patch.
CLASS_TOKENS = {"clip_vision_model": 1, "siglip_vision_model": 0}


class ExportRecord(Config):
    """What was exported: a digest of the checkpoint's files, and the precision that was asked for."""

    checkpoint: str
    dtype: WeightsType


def export_checkpoint(checkpoint: Path, out: Path, dtype: WeightsType = "auto") -> ExportRecord:
    """Write a checkpoint as `llava-hf` publishes its own: weights, configurations, tokenizer, processor, chat template.

    A linear projector is written as two layers that compute the same. `auto` keeps the precision that the weights were
    saved in. `out` is there when it is complete and not before, so that after a kill the same call does the work again;
    where it has been done, nothing is.

    Raises:
        ValueError: vLLM cannot serve such a model, the checkpoint is not whole, or `out` holds something else.
    """
    _refuse_what_cannot_be_served(checkpoint)
    files = sorted(path for path in checkpoint.iterdir() if path.is_file())
    record = ExportRecord(checkpoint=digest({path.name: sha256_of(path) for path in files}), dtype=dtype)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if not _holds(out, record):
            raise ValueError(f"{out} holds something else than this export: name a folder that is not there yet")
        return record
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    _write(checkpoint, unfinished, dtype)
    publish(unfinished, str(unfinished), record)
    os.replace(unfinished, out)
    return record


def _refuse_what_cannot_be_served(checkpoint: Path) -> None:
    if not (checkpoint / "config.json").exists():
        raise ValueError(f"{checkpoint} is not a checkpoint: it has no config.json")
    config = AutoConfig.from_pretrained(checkpoint)
    if not isinstance(config, LlavaConfig):
        raise ValueError(f"{checkpoint} needs no export: it has the layout that its model was published in")
    features, width = config.vision_config.hidden_size, config.text_config.hidden_size
    if config.vision_config.model_type not in CLASS_TOKENS:
        reason = f"no vision tower {config.vision_config.model_type!r}"
    elif model_class(config) is LinearLlavaForConditionalGeneration and width < 2 * features:
        reason = f"no linear projector, and of {features} features none can be written as two layers of {width}"
    else:
        return
    raise ValueError(
        f"{checkpoint} cannot be served: vLLM has {reason}; what works is transformers, where "
        "web2code.modelling.llava.load_model loads it"
    )


def _holds(out: Path, record: ExportRecord) -> bool:
    path = out / RECORD
    return path.exists() and path.read_text() == record.model_dump_json(indent=2)


def _write(checkpoint: Path, folder: Path, dtype: WeightsType) -> None:
    template, tokenizer = load_template(checkpoint), AutoTokenizer.from_pretrained(checkpoint)
    kind = model_class(AutoConfig.from_pretrained(checkpoint))
    model, loaded = kind.from_pretrained(checkpoint, dtype=dtype, output_loading_info=True)
    if wrong := sorted({*loaded["missing_keys"], *loaded["unexpected_keys"]}):
        raise ValueError(f"{checkpoint} is not one whole model: {wrong[0]} is missing or too much; save it again")
    if isinstance(model, LinearLlavaForConditionalGeneration):
        model = _with_two_layers(model)
    # By this name vLLM finds a language model that transformers does not bring.
    text = model.config.text_config
    text.architectures = [MODEL_FOR_CAUSAL_LM_MAPPING[type(text)].__name__]
    # transformers saves the names that it met on loading; with its whole mapping they become the published ones, in
    # which the tower's weights are below `vision_model`.
    model._weight_conversions = get_model_conversion_mapping(model, add_legacy=False)
    save_checkpoint(folder, model, tokenizer, template)
    vision = model.config.vision_config
    LlavaProcessor(
        image_processor(vision),
        tokenizer,
        patch_size=vision.patch_size,
        vision_feature_select_strategy=model.config.vision_feature_select_strategy,
        chat_template=write_chat_template(template),
        image_token=template.image,
        num_additional_image_tokens=CLASS_TOKENS[vision.model_type],
    ).save_pretrained(folder)


def _with_two_layers(linear: LinearLlavaForConditionalGeneration) -> LlavaForConditionalGeneration:
    """The same model with a projector of two layers, as the published ones are: Wx = [W, -W] relu([x, -x])."""
    config = linear.config
    config.update({"projector_type": "mlp2x_relu", "projector_hidden_act": "relu"})
    model = empty_model(config)
    model.model.language_model, model.lm_head = linear.model.language_model, linear.lm_head
    model.model.vision_tower, model.generation_config = linear.model.vision_tower, linear.generation_config
    weight, bias = (parameter.detach() for parameter in linear.model.multi_modal_projector.linear_1.parameters())
    width, features = weight.shape
    unchanged, unused = torch.eye(features, dtype=weight.dtype), width - 2 * features
    layers = {
        "linear_1.weight": torch.cat([unchanged, -unchanged, weight.new_zeros(unused, features)]),
        "linear_1.bias": torch.zeros_like(bias),
        "linear_2.weight": torch.cat([weight, -weight, weight.new_zeros(width, unused)], dim=1),
        "linear_2.bias": bias,
    }
    model.model.multi_modal_projector.load_state_dict(layers, assign=True)
    return model

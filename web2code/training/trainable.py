"""Which parameters a stage trains, and at which rates."""

from __future__ import annotations

from typing import Any

import torch

from web2code.config import Module, StageConfig
from web2code.modelling.adapters import ADAPTER, LANGUAGE_MODEL

# What transformers calls the parts of its image-text-to-text models; a Qwen's projector is within its tower.
MODULES: dict[Module, tuple[str, ...]] = {
    "projector": (
        "model.multi_modal_projector.", "model.mm_projector.", "model.projector.", "model.connector.", "model.aligner.",
        "model.merger.", "model.visual.merger.", "model.visual.deepstack_merger_list.", "model.resampler_model.",
        "model.vision_projection.", "model.vision_embed_tokens.", "model.visual_embeddings_table.",
        "model.high_res_vision_neck.", "model.high_res_vision_proj.", "model.high_res_vision_alpha",
        "model.image_newline",
    ),
    "language_model": (*LANGUAGE_MODEL, "lm_head."),
    "vision_merge": ("model.vision_tower.merge.",),
    "vision_tower": (
        "model.vision_tower.", "model.visual.", "model.vision_model.", "model.vision_encoder.",
        "model.high_res_vision_model.", "model.image_tower.", "model.video_tower.",
    ),
}  # fmt: skip


def module_of(name: str) -> Module:
    """The module that a parameter belongs to: the first of `MODULES` that its name begins with.

    Raises:
        ValueError: it belongs to none.
    """
    for module, prefixes in MODULES.items():
        if name.startswith(prefixes):
            return module
    known = ", ".join(prefix.rstrip(".") for prefixes in MODULES.values() for prefix in prefixes)
    raise ValueError(f"the model has a parameter {name}, which is in no known module ({known}): choose another model")


def set_trainable(model: torch.nn.Module, trainable: tuple[Module, ...]) -> int:
    """Freeze all but the named modules; returns the number of trained parameters.

    Of a language model that has adapters only these are trained.
    """
    adapted = any(ADAPTER in name for name, _ in model.named_parameters())
    for name, parameter in model.named_parameters():
        module = module_of(name)
        frozen_base = adapted and module == "language_model" and ADAPTER not in name
        parameter.requires_grad_(module in trainable and not frozen_base)
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def parameter_groups(model: torch.nn.Module, stage: StageConfig) -> list[dict[str, Any]]:
    """The trained parameters by learning rate and weight decay; `share` is a group's rate as a multiple of the stage's.

    Norms, biases and whatever else has one dimension do not decay, as in transformers' `Trainer`.
    """
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = stage.module_learning_rates.get(module_of(name), stage.learning_rate)
            decay = stage.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate / stage.learning_rate, decay), []).append(parameter)
    return [
        {"params": parameters, "share": share, "weight_decay": decay} for (share, decay), parameters in groups.items()
    ]

"""LLaVAR-2, the text-rich systems with two vision towers."""

from __future__ import annotations

from typing import Any

from web2code.config import PretrainedModelConfig, Recipe, TemplateName
from web2code.recipes.llava import full_size


def llavar2_3_8b() -> Recipe:
    """LLaVAR-2-3.8B on Phi-3.5-mini, with two vision towers at 768 pixels, trained in stage 2.

    Published: llavar/LLaVAR-2, README (16 samples a GPU, then 8 in two micro batches); arXiv 2412.16364. The
    repository's scripts differ from it: Phi-3-mini, 384 and 1024 pixels, one epoch, 2048 tokens. Inferred: 8 GPUs,
    which make both batches 128; the mixture.
    """
    return _llavar2("llavar2_3_8b", "phi-3.5-mini", "phi3_instruct", instruct={"micro_batch": 8, "epochs": 3})


def llavar2_8b() -> Recipe:
    """LLaVAR-2-8B on Llama-3.1-8B.

    Published: llavar/LLaVAR-2, LLaVAR-2_llama3/llama3-V_stage{1,2}.sh (4 samples a GPU, one epoch, 4096 tokens), which
    name Llama-3-8B-Instruct where README and paper say Llama 3.1. Inferred: 8 GPUs, which make both batches 32; the
    mixture; 768 pixels in both stages, where the scripts have 384 and 1024.
    """
    small = {"global_batch": 32, "micro_batch": 4}
    return _llavar2("llavar2_8b", "llama-3.1-8b-instruct", "llama3", align=small, instruct=small)


def llavar2_13b() -> Recipe:
    """LLaVAR-2-13B on Vicuna-13B v1.5.

    Published: arXiv 2412.16364 (results). Inferred: everything else, from `llavar2_3_8b`, and Vicuna's own template:
    the README evaluates this model with Llama 3's, for which Vicuna's tokenizer has no tokens.
    """
    return _llavar2("llavar2_13b", "vicuna-13b-v1.5", "vicuna_v1", instruct={"micro_batch": 8, "epochs": 3})


def _llavar2(
    name: str, language_model: str, template: TemplateName, align: dict[str, Any] | None = None,
    instruct: dict[str, Any] | None = None,
) -> Recipe:  # fmt: skip
    model = PretrainedModelConfig(
        language_model=language_model, vision_tower="clip-convnext-768", vision_feature_layer=-1,
        vision_feature_select="full", max_length=4096,
    )  # fmt: skip
    return full_size(
        name, name.replace("_", "-"), "llavar2", model, template,
        align={"trainable": ("projector", "vision_merge"), "global_batch": 128, "micro_batch": 16} | (align or {}),
        instruct={"trainable": ("projector", "language_model", "vision_merge", "vision_tower")} | (instruct or {}),
    )  # fmt: skip

"""The models of the Web2Code paper."""

from __future__ import annotations

from web2code.config import PretrainedModelConfig, Recipe
from web2code.recipes.llava import CLIP_336, full_size, with_lora

MICRO_BATCH = {"micro_batch": 8}


def crystalchat_7b_web2code() -> Recipe:
    """CrystalChat-7B-Web2Code: LLaVA-1.5's data and all four parts of Web2Code.

    Published: arXiv 2406.20098; MBZUAI-LLM/web2code, web2code/scripts/v1_5/{pretrain,finetune}_crystal_chat.sh (the
    Vicuna template; two micro batches of 8 a step). The scripts' batch of stage 2 is 128 on 8 GPUs and 256 on the 16
    that the paper names; inferred: the paper's 128.
    """
    return _web2code("crystalchat_7b_web2code", "crystalchat-7b-web2code", "crystalchat-7b", "all")


def crystalchat_7b_mllm() -> Recipe:
    """CrystalChat-7B-MLLM: LLaVA-1.5's data alone, the row without web data.

    Published: with `crystalchat_7b_web2code`.
    """
    return _web2code("crystalchat_7b_mllm", "crystalchat-7b-mllm", "crystalchat-7b", "none")


def crystalcoder_7b_mllm() -> Recipe:
    """CrystalCoder-7B-MLLM: LLaVA-1.5's data alone.

    Published: arXiv 2406.20098 (results). Inferred: the hyper-parameters, from CrystalChat's scripts.
    """
    return _web2code("crystalcoder_7b_mllm", "crystalcoder-7b-mllm", "crystalcoder-7b", "none")


def vicuna_7b_web2code() -> Recipe:
    """Vicuna-7B with all four parts of Web2Code.

    Published: the model card of LLM360/CrystalChat-7B-Web2Code (results). Inferred: the hyper-parameters, from
    CrystalChat's scripts, and version 1.5 of Vicuna, LLaVA-1.5's.
    """
    return _web2code("vicuna_7b_web2code", "vicuna-7b-web2code", "vicuna-7b-v1.5", "all")


def llama3_8b_web2code() -> Recipe:
    """Llama-3-8B with all four parts of Web2Code, the paper's best.

    Published: arXiv 2406.20098 (results). Inferred: the hyper-parameters, from CrystalChat's scripts; the instruct
    checkpoint with its own template, as in LLaVA++ (mbzuai-oryx/LLaVA-pp, scripts/LLaMA3-V_full_finetune.sh).
    """
    model = PretrainedModelConfig(language_model="llama-3-8b-instruct", vision_tower=CLIP_336)
    return full_size("llama3_8b_web2code", "llama3-8b-web2code", "all", model, "llama3", MICRO_BATCH, MICRO_BATCH)


def crystalchat_7b_web2code_lora() -> Recipe:
    """CrystalChat-7B-Web2Code, stage 2 by adapters.

    Inferred: with LLaVA-1.5's figures for them.
    """
    return with_lora(crystalchat_7b_web2code())


def crystalchat_7b_web2code_qlora() -> Recipe:
    """CrystalChat-7B-Web2Code, stage 2 by adapters of a language model in four bits.

    Inferred: as `crystalchat_7b_web2code_lora` is.
    """
    return with_lora(crystalchat_7b_web2code(), four_bit=True)


def _web2code(name: str, model_name: str, language_model: str, mixture: str) -> Recipe:
    model = PretrainedModelConfig(language_model=language_model, vision_tower=CLIP_336)
    return full_size(name, model_name, mixture, model, align=MICRO_BATCH, instruct=MICRO_BATCH)

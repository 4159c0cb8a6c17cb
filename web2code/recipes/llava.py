"""LLaVA and LLaVA-1.5, on which the other published systems build."""

from __future__ import annotations

from typing import Any

from web2code.config import (
    EvaluationConfig,
    LoraConfig,
    PagesConfig,
    PretrainedModelConfig,
    Recipe,
    StageConfig,
    TemplateName,
    ValidationConfig,
    Viewport,
)

CLIP_336 = "clip-vit-large-patch14-336"
# Not published: no more than the published micro batches of padded rows take, and mostly one pack a step on eight GPUs.
PACK_TOKENS = 16_384


def llava15_7b() -> Recipe:
    """LLaVA-1.5 on Vicuna-7B v1.5, with full fine-tuning.

    Published: haotian-liu/LLaVA, README and scripts/v1_5/{pretrain,finetune}.sh; arXiv 2310.03744. The micro
    batches are those of the scripts on 8 GPUs.
    """
    return _llava15("llava15_7b", "vicuna-7b-v1.5")


def llava15_13b() -> Recipe:
    """LLaVA-1.5 on Vicuna-13B v1.5, with full fine-tuning.

    Published: where `llava15_7b` is.
    """
    return _llava15("llava15_13b", "vicuna-13b-v1.5")


def llava15_7b_lora() -> Recipe:
    """LLaVA-1.5 on Vicuna-7B v1.5, stage 2 by adapters.

    Published: haotian-liu/LLaVA, scripts/v1_5/finetune_lora.sh (rank 128, alpha 256, 2e-4, the projector 2e-5); the
    dropout of 0.05 is the default of its train.py.
    """
    return with_lora(llava15_7b())


def llava15_13b_lora() -> Recipe:
    """LLaVA-1.5 on Vicuna-13B v1.5, stage 2 by adapters.

    Published: where `llava15_7b_lora` is.
    """
    return with_lora(llava15_13b())


def llava15_7b_qlora() -> Recipe:
    """LLaVA-1.5 on Vicuna-7B v1.5, stage 2 by adapters of a language model in four bits.

    Inferred: the figures of `llava15_7b_lora`. The one published script, scripts/finetune_qlora.sh, is of the first
    LLaVA (ZeRO-2, 2e-5, rank 64 by default).
    """
    return with_lora(llava15_7b(), four_bit=True)


def llava15_13b_qlora() -> Recipe:
    """LLaVA-1.5 on Vicuna-13B v1.5, stage 2 by adapters of a language model in four bits.

    Inferred: as `llava15_7b_qlora` is.
    """
    return with_lora(llava15_13b(), four_bit=True)


def llava_scienceqa() -> Recipe:
    """The first LLaVA, on Vicuna-13B v1.3 with a linear projector, fine-tuned on ScienceQA for twelve epochs.

    Published: haotian-liu/LLaVA, scripts/{pretrain,finetune_sqa}.sh and docs/ScienceQA.md (CLIP at 224 pixels, ZeRO-2,
    2e-3 and 2e-5, samples in random order). Inferred: both global batches, 16 samples a GPU on 8 GPUs; the template,
    which the script leaves open, from the evaluation; the ZeRO stage of the alignment.
    """
    return full_size(
        "llava_scienceqa", "llava-scienceqa-13b", "scienceqa",
        PretrainedModelConfig(
            language_model="vicuna-13b-v1.3", vision_tower="clip-vit-large-patch14", projector="linear"
        ),
        template="llava_v1",
        align={"global_batch": 128, "micro_batch": 16, "learning_rate": 2e-3},
        instruct={"zero_stage": 2, "epochs": 12, "grouping": "none"},
        image_tokens=256,
    )  # fmt: skip


def full_size(
    name: str,
    model_name: str,
    mixture: str,
    model: PretrainedModelConfig,
    template: TemplateName = "vicuna_v1",
    align: dict[str, Any] | None = None,
    instruct: dict[str, Any] | None = None,
    image_tokens: int = 576,
) -> Recipe:
    """A recipe with LLaVA-1.5's two stages, of which `align` and `instruct` replace values.

    Both: AdamW, one epoch, 3 % warm-up, cosine, no weight decay, bf16, gradient checkpointing. Stage 2 draws the
    samples of a step at random from one modality, as `--group_by_modality_length` of the published scripts does, and
    packs those that padded rows (`instruct.pack_tokens=0`) would have.
    """
    shared = {"epochs": 1, "warmup_ratio": 0.03, "weight_decay": 0.0, "gradient_checkpointing": True}
    stage1 = shared | {
        "name": "align", "trainable": ("projector",), "zero_stage": 2, "template": "plain", "global_batch": 256,
        "micro_batch": 32, "learning_rate": 1e-3, "grouping": "none",
    }  # fmt: skip
    stage2 = shared | {
        "name": "instruct", "trainable": ("projector", "language_model"), "zero_stage": 3, "template": template,
        "global_batch": 128, "micro_batch": 16, "learning_rate": 2e-5, "grouping": "modality_length",
        "pack_tokens": PACK_TOKENS, "attention": "varlen",
    }  # fmt: skip
    return Recipe(
        name=name,
        model_name=model_name,
        mixture=mixture,
        pages=PagesConfig(num_train=0, num_eval=200, viewport=Viewport(width=1280, height=720)),
        model=model,
        align=StageConfig.model_validate(stage1 | (align or {})),
        instruct=StageConfig.model_validate(stage2 | (instruct or {})),
        evaluation=EvaluationConfig(max_new_tokens=1024),
        validation=ValidationConfig(context=model.max_length, image_tokens=image_tokens),
    )


def with_lora(recipe: Recipe, four_bit: bool = False) -> Recipe:
    """The recipe with stage 2 by adapters, at the rates that LLaVA-1.5 publishes for them.

    In four bits it runs under ZeRO-2: quantised weights cannot be split.
    """
    suffix = "qlora" if four_bit else "lora"
    values = recipe.model_dump()
    values |= {"name": f"{recipe.name}_{suffix}", "model_name": f"{recipe.model_name}-{suffix}"}
    values["model"]["lora"] = LoraConfig(four_bit=four_bit)
    values["instruct"] |= {"learning_rate": 2e-4, "module_learning_rates": {"projector": 2e-5}}
    if four_bit:
        values["instruct"]["zero_stage"] = 2
    return Recipe.model_validate(values)


def _llava15(name: str, language_model: str) -> Recipe:
    model = PretrainedModelConfig(language_model=language_model, vision_tower=CLIP_336)
    return full_size(name, name.replace("llava15_", "llava-1.5-"), "none", model)

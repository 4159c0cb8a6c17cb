"""Image-text-to-text models that are published whole, trained on web pages in one stage."""

from __future__ import annotations

from typing import Any

from web2code.config import (
    EvaluationConfig,
    ImageTextConfig,
    LoraConfig,
    PagesConfig,
    Recipe,
    StageConfig,
    ValidationConfig,
    Viewport,
)

# Of a picture: what makes 1280 image tokens of a Qwen2.5-VL.
MAX_PIXELS = 1280 * 28 * 28


def llava_next_mistral_7b() -> Recipe:
    """LLaVA-NeXT (1.6) on Mistral-7B, all of it.

    Published: LLaVA-VL/LLaVA-NeXT, scripts/train/finetune_clip.sh (of another language model: all modules at 1e-5, the
    tower at 2e-6, 4 samples a GPU, one epoch, ZeRO-3). Inferred: the same for this one; 32 GPUs, which make the batch
    128; 4096 tokens of the script's 32,768; the mixture. The template is Mistral's, since the chat template that is
    published with the checkpoint ends an answer with text that looks like an end of sequence and is none; a prompt is
    the same by both.
    """
    return _image_text(
        "llava_next_mistral_7b", "llava-next-mistral-7b", ImageTextConfig(name="llava-next-mistral-7b"), 1948,
        template="mistral_instruct", trainable=("projector", "language_model", "vision_tower"), learning_rate=1e-5,
        module_learning_rates={"vision_tower": 2e-6}, grouping="modality_length",
    )  # fmt: skip


def qwen25_vl_7b() -> Recipe:
    """Qwen2.5-VL-7B, its language model alone.

    Published: QwenLM/Qwen3-VL, qwen-vl-finetune/README.md (the language model alone, rates of 2e-7 to 1e-6, weight
    decay 0.01, four micro batches of 4 a step, 4096 tokens, ZeRO-3). Inferred: the highest of these rates; 8 GPUs,
    which make the batch 128; one epoch of its example's three; pictures of 1280 x 28 x 28 pixels at most, where the
    example has 576 x 28 x 28; the mixture.
    """
    return _qwen("qwen25_vl_7b", "qwen2.5-vl-7b", 1196)


def qwen25_vl_7b_lora() -> Recipe:
    """Qwen2.5-VL-7B by adapters.

    Published: where `qwen25_vl_7b` is, of Qwen3-VL-4B (rank 64, alpha 16, all linear layers, 2e-5). Inferred: the same
    for this model, with dropout of 0.05.
    """
    values = qwen25_vl_7b().model_dump()
    values |= {"name": "qwen25_vl_7b_lora", "model_name": "qwen2.5-vl-7b-lora"}
    values["model"]["lora"] = LoraConfig(rank=64, alpha=16)
    values["instruct"]["learning_rate"] = 2e-5
    return Recipe.model_validate(values)


def qwen3_vl_8b() -> Recipe:
    """Qwen3-VL-8B, its language model alone.

    Published and inferred: as `qwen25_vl_7b`; its image tokens stand for 32 x 32 pixels each.
    """
    return _qwen("qwen3_vl_8b", "qwen3-vl-8b", 880)


def _qwen(name: str, model: str, image_tokens: int) -> Recipe:
    return _image_text(
        name, model, ImageTextConfig(name=model, max_pixels=MAX_PIXELS), image_tokens, template="own",
        trainable=("language_model",), learning_rate=1e-6, weight_decay=0.01,
    )  # fmt: skip


def _image_text(name: str, model_name: str, model: ImageTextConfig, image_tokens: int, **instruct: Any) -> Recipe:
    """A recipe in which a page of the viewport takes so many image tokens."""
    shared = {
        "name": "instruct", "zero_stage": 3, "epochs": 1, "global_batch": 128, "micro_batch": 4,
        "gradient_checkpointing": True,
    }  # fmt: skip
    return Recipe(
        name=name,
        model_name=model_name,
        mixture="all",
        pages=PagesConfig(num_train=0, num_eval=200, viewport=Viewport(width=1280, height=720)),
        model=model,
        instruct=StageConfig.model_validate(shared | instruct),
        evaluation=EvaluationConfig(max_new_tokens=1024),
        validation=ValidationConfig(context=model.max_length, image_tokens=image_tokens),
    )

"""The recipe that two CPU cores can run."""

from __future__ import annotations

from web2code.config import (
    LanguageConfig,
    ModelConfig,
    PagesConfig,
    Recipe,
    StageConfig,
    ValidationConfig,
    VisionConfig,
)

# A shorter memory of squared gradients than the usual 0.999 suits runs of a few hundred steps.
BETA2 = 0.95


def tiny() -> Recipe:
    """The whole lifecycle in minutes on two CPU cores: 2.3 M parameters, everything made from scratch.

    As in LLaVAR-2 the tower is trained in stage 2; a frozen tower that was never trained would teach nothing.
    """
    return Recipe(
        name="tiny",
        model_name="web2code-tiny",
        pages=PagesConfig(num_train=3200, num_eval=200),
        model=ModelConfig(vision=VisionConfig(), language=LanguageConfig(), warmup_steps=60),
        align=StageConfig(
            name="align", trainable=("projector",), zero_stage=2, template="plain",
            steps=40, global_batch=64, learning_rate=2e-3, beta2=BETA2, attention="eager",
        ),
        instruct=StageConfig(
            name="instruct", trainable=("projector", "language_model", "vision_tower"), zero_stage=3,
            template="user_assistant", steps=950, global_batch=16, learning_rate=2e-3,
            module_learning_rates={"projector": 1e-3, "vision_tower": 1e-3}, beta2=BETA2, attention="eager",
        ),
        validation=ValidationConfig(context=512, image_tokens=64),
    )  # fmt: skip

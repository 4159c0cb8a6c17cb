"""Whether a recipe runs on so many GPUs of a kind, told before any of them is started."""

from __future__ import annotations

from web2code.config import ImageTextConfig, ModelConfig, Recipe, StageConfig
from web2code.estimate.devices import UNCHECKED, Gpu, require_precision
from web2code.estimate.memory import Setup, setup_of
from web2code.estimate.pictures import Page, is_known, page_of
from web2code.estimate.plan import CONTEXT_GIB, GIB, FullSize, architecture, find_alternatives, fits_in, setup_memory
from web2code.estimate.workload import longest_sample
from web2code.modelling.backbones import IMAGE_TEXT_MODELS, LANGUAGE_MODELS, VISION_TOWERS


def require_fit(recipe: Recipe, num_devices: int, gpu: Gpu) -> None:
    """Nothing, where every stage runs there as far as can be estimated; of models that are not ours nothing is read.

    Raises:
        ValueError: a stage is in a precision that the GPU lacks, or takes more memory than it has.
    """
    for stage in recipe.stages:
        require_precision(stage, gpu.name, gpu.capability)
    page = page_of(recipe)
    if isinstance(recipe.model, ModelConfig) or not can_be_estimated(recipe.model, page):
        return
    for stage in recipe.stages:
        longest = longest_sample(stage, architecture(recipe.model, page).image_seq_length, recipe.model.max_length)
        setup = setup_of(stage, num_devices, recipe.model.lora)
        memory = setup_memory(recipe.model, stage.trainable, longest, setup, page)
        if not fits_in(memory, gpu):
            ways = [
                f"{other.change} ({described(stage, other.setup)}: {other.memory.total / GIB + CONTEXT_GIB:.0f} GiB)"
                for other in find_alternatives(recipe.model, stage, longest, gpu, setup, page)
            ]
            raise ValueError(
                f"{stage.name} does not fit: it takes {memory.total / GIB + CONTEXT_GIB:.0f} GiB on each of "
                f"{num_devices} GPUs, and {gpu.name} has {gpu.memory:.0f}; "
                f"what fits: {', or '.join(ways) or 'nothing that was tried'}; "
                f"--where gpu={UNCHECKED} starts it all the same"
            )


def described(stage: StageConfig, setup: Setup) -> str:
    """What a GPU holds at once, as it is set."""
    if setup.pack_tokens:
        return f"{stage.name}.pack_tokens={setup.pack_tokens}"
    return f"{stage.name}.micro_batch={setup.micro_batch}"


def can_be_estimated(model: FullSize, page: Page) -> bool:
    """Whether the model is one of the tables, and it is known what its tower is given."""
    if isinstance(model, ImageTextConfig):
        return model.name in IMAGE_TEXT_MODELS and not model.revision and is_known(architecture(model, page))
    named = model.language_model in LANGUAGE_MODELS and model.vision_tower in VISION_TOWERS
    return named and not model.language_revision and not model.vision_revision

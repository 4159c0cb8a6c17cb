"""Every full-size recipe at toy widths: ten steps of each of its stages."""

import pytest
import torch

from web2code.config import PretrainedModelConfig
from web2code.modelling.adapters import adapt, adapted_layers
from web2code.modelling.llava import empty_model, llava_config, model_class, shrunken
from web2code.modelling.samples import IGNORED
from web2code.recipes import RECIPES
from web2code.training.gradient_checkpointing import checkpoint_layers
from web2code.training.loss import AnswerLoss
from web2code.training.trainable import module_of, parameter_groups, set_trainable

FULL_SIZE = [name for name, make in RECIPES.items() if isinstance(make().model, PretrainedModelConfig)]
# Billions of parameters: of the language model as published, and with it of the embeddings' new rows.
LANGUAGE = {
    "crystalchat-7b": 6.575, "crystalcoder-7b": 6.575, "vicuna-7b-v1.5": 6.739, "vicuna-13b-v1.5": 13.017,
    "vicuna-13b-v1.3": 13.017, "llama-3-8b-instruct": 8.031, "llama-3.1-8b-instruct": 8.031, "phi-3.5-mini": 3.821,
}  # fmt: skip
# CLIP ViT-L/14 has 0.303; with ConvNeXt-L (0.196) and what joins them 0.521.
TOWERS = {"clip-vit-large-patch14": 0.303, "clip-vit-large-patch14-336": 0.304, "clip-convnext-768": 0.521}
# Parameters that no feature of a picture comes from.
UNREAD = ("post_layernorm", "clip.embeddings.class_embedding", "convnext.layernorm")
STEPS = 10


@pytest.mark.parametrize("name", FULL_SIZE)
def test_the_model_has_its_published_size_and_image_tokens(name):
    recipe = RECIPES[name]().model
    model = empty_model(llava_config(recipe))
    assert RECIPES[name]().validation.image_tokens == model.config.image_seq_length
    projector = sum(parameter.numel() for parameter in model.model.multi_modal_projector.parameters())
    width, seen = model.config.text_config.hidden_size, 1024
    assert projector == (seen + 1) * width + (width + 1) * width * (recipe.projector == "mlp2x_gelu")
    rest = sum(parameter.numel() for parameter in model.parameters()) - projector
    assert rest / 1e9 == pytest.approx(LANGUAGE[recipe.language_model] + TOWERS[recipe.vision_tower], abs=1e-3)


@pytest.mark.parametrize("name", FULL_SIZE)
def test_each_stage_trains_what_it_names_and_the_loss_falls(name):
    recipe = RECIPES[name]()
    config = shrunken(llava_config(recipe.model))
    torch.manual_seed(0)
    model = model_class(config)(config)
    for stage in (recipe.align, recipe.instruct):
        if recipe.model.lora and "language_model" in stage.trainable:
            adapt(model, recipe.model.lora, 0, torch.device("cpu"))
        losses, changed = train(model, stage)
        assert losses[-1] < losses[STEPS // 2] < losses[0]
        assert changed == expected_names(model, recipe.model, stage.trainable)


def train(model, stage):
    """Losses of ten steps on one batch, and the names of the parameters that they changed."""
    set_trainable(model, stage.trainable)
    if stage.gradient_checkpointing:
        checkpoint_layers(model)
    # The published rates are for other widths and thousands of steps; their ratios are kept.
    groups = [{**group, "lr": 0.003 * group["share"]} for group in parameter_groups(model, stage)]
    optimizer = torch.optim.AdamW(groups, weight_decay=stage.weight_decay)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    batch, losses = toy_batch(model.config), []
    objective = AnswerLoss(model.train())
    for _ in range(STEPS):
        loss = objective(**batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}


def expected_names(model, recipe_model, trainable):
    """Parameters that get a gradient: of the tower none that come after the layer that is read."""
    layers = getattr(model.config.vision_config, "num_hidden_layers", 0)
    unread = tuple(
        f"model.vision_tower.encoder.layers.{layer}."
        for layer in range(layers + 1 + recipe_model.vision_feature_layer, layers)
    )
    adapted = tuple(adapted_layers(model, recipe_model.lora)) if recipe_model.lora else ()
    names = set()
    for name, _ in model.named_parameters():
        module = module_of(name)
        if module == "language_model" and adapted:
            reached = name.startswith(adapted) and ".lora_" in name
        else:
            reached = not name.startswith(unread) and not any(part in name for part in UNREAD)
        if module in trainable and reached:
            names.add(name)
    return names


def toy_batch(config):
    """Two samples: a picture's placeholders, then random tokens of which the last six are learned."""
    generator = torch.Generator().manual_seed(0)
    image = torch.full((2, config.image_seq_length), config.image_token_id)
    text = torch.randint(3, config.image_token_id, (2, 10), generator=generator)
    ids = torch.cat([torch.ones(2, 1, dtype=torch.long), image, text], dim=1)
    labels = ids.clone()
    labels[:, :-6] = IGNORED
    size = config.vision_config.image_size
    pixels = torch.randn(2, 3, size, size, generator=generator)
    return {"input_ids": ids, "labels": labels, "pixel_values": pixels, "num_images": 2, "num_tokens": 12.0}

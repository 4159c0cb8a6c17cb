"""Plans of models that are published whole."""

import pytest

from tests.web2code.modelling.image_text_models import save_toy
from web2code.estimate.devices import parse_cluster
from web2code.estimate.plan import plan_recipe
from web2code.modelling.llava import load_model
from web2code.recipes import resolve

CLUSTER = parse_cluster("8xH100")


def toy(folder, name, recipe, overrides):
    small = {"model.name": save_toy(folder, name), "model.max_length": 256, "validation.image_tokens": 60}
    return resolve(recipe, small | overrides)


def test_a_plan_counts_the_models_parameters_and_what_a_page_takes(tmp_path):
    plan = plan_recipe(toy(tmp_path, "qwen3-vl-8b", "qwen3_vl_8b", {}), CLUSTER)
    (stage,) = plan.stages
    assert stage.name == "instruct"
    assert plan.image_tokens == 60
    assert stage.workload.longest == 256
    model = load_model(tmp_path)
    assert stage.parameters.total == sum(each.numel() for each in model.parameters())
    assert stage.parameters.trained == stage.parameters.by_module["language_model"].total
    assert stage.fits


def test_a_projector_that_is_trained_takes_more(tmp_path):
    both = {"instruct.trainable": ["projector", "language_model"], "instruct.module_learning_rates": {}}
    recipe = toy(tmp_path, "llava-next-mistral-7b", "llava_next_mistral_7b", both)
    alone = plan_recipe(toy(tmp_path, "llava-next-mistral-7b", "llava_next_mistral_7b", both | {
        "instruct.trainable": ["language_model"]}), CLUSTER)  # fmt: skip
    assert plan_recipe(recipe, CLUSTER).stages[0].memory.states > alone.stages[0].memory.states


def test_a_tower_that_is_trained_is_not_estimated(tmp_path):
    with pytest.raises(ValueError, match="is not estimated: plan 'llava_next_mistral_7b' without vision_tower"):
        plan_recipe(resolve("llava_next_mistral_7b"), CLUSTER)

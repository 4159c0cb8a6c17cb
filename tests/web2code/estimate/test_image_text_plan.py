"""Plans of models that are published whole."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.web2code.modelling.image_text_models import PUBLISHED_MODELS, picture, save_toy, toy_internvl
from web2code.config import ImageTextConfig
from web2code.estimate.devices import parse_cluster
from web2code.estimate.pictures import Page
from web2code.estimate.plan import architecture, plan_recipe
from web2code.estimate.tracing import ATTENTION_FLOPS, LiveBytes, count_flops, stage_model, trace_loss, trace_memory
from web2code.modelling.image_text import ImageTextProcessor, load_processor
from web2code.modelling.llava import load_model
from web2code.modelling.samples import IGNORED
from web2code.recipes import resolve
from web2code.training.loss import AnswerLoss
from web2code.training.trainable import module_of, set_trainable

CLUSTER = parse_cluster("8xH100")
WIDTH, HEIGHT = 140, 112


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


@pytest.mark.parametrize("trainable", [("language_model",), ("projector", "language_model", "vision_tower")])
@pytest.mark.parametrize("name", PUBLISHED_MODELS)
def test_what_a_step_computes_and_keeps_is_what_is_planned(tmp_path, name, trainable):
    """A real step on a page, beside the trace of the model without weights."""
    model, processor = load_model(save_toy(tmp_path, name)).train(), load_processor(tmp_path)
    set_trainable(model, trainable)
    image, length = ImageTextProcessor(processor).tokens(picture(WIDTH, HEIGHT)), 200
    page = Page(image_tokens=len(image), height=HEIGHT, width=WIDTH)
    ids = torch.tensor([image + [7] * (length - len(image))])
    labels = torch.where(torch.arange(length) < len(image), IGNORED, ids)
    seen = ImageTextProcessor(processor).tensors([picture(WIDTH, HEIGHT)], torch.float32)
    batch = {"input_ids": ids, "labels": labels, **seen, **ImageTextProcessor(processor).positions(ids)}
    objective, counter = AnswerLoss(model), FlopCounterMode(display=False, custom_mapping=ATTENTION_FLOPS)
    objective(**batch, num_tokens=1.0).backward()  # so that the gradients are there
    with counter, LiveBytes([*model.parameters(), *model.buffers()]) as live:
        objective(**batch, num_tokens=1.0).backward()

    def traced():
        config = architecture(ImageTextConfig(name=str(tmp_path), max_length=256), page)
        return stage_model(config, trainable, None, torch.float32)

    assert count_flops(traced(), length) == pytest.approx(counter.get_total_flops(), rel=1e-3)
    activations = trace_memory(traced(), length, False)
    loss = trace_loss(traced(), length - len(image))
    planned = activations.saved + max(activations.transient + activations.fixed, loss)
    print(name, trainable, planned / live.peak)
    assert 0.85 * live.peak < planned < 1.25 * live.peak


def test_a_tower_of_which_it_is_not_known_what_it_is_given_is_not_estimated(tmp_path):
    processor, model = toy_internvl()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="so not what training its vision tower takes: plan 'llava_next_mistral_7b'"):
        plan_recipe(resolve("llava_next_mistral_7b", {"model.name": str(tmp_path), "model.max_length": 256}), CLUSTER)


def test_a_model_is_planned_without_its_frozen_tower_whatever_its_parts_are_called(tmp_path):
    name = save_toy(tmp_path / "toy", "idefics3")
    given = {"model.name": name, "model.max_length": 512, "model.max_pixels": None, "validation.image_tokens": 16}
    (stage,) = plan_recipe(resolve("qwen25_vl_7b", given), CLUSTER).stages
    total = Counter()
    for parameter, values in load_model(Path(name)).named_parameters():
        total[module_of(parameter)] += values.numel()
    assert {module: count.total for module, count in stage.parameters.by_module.items()} == total
    assert stage.flops > 0

"""What is planned of packs and padding beside the tensors that training makes."""

import pytest

from tests.web2code.training.conftest import arrays, prepared  # noqa: F401
from tests.web2code.training.test_order import STAGE
from web2code.estimate.layout import SEED, assumed_layout, assumed_samples, layout_of
from web2code.estimate.workload import PARTS
from web2code.mixtures import MIXTURES
from web2code.recipes import RECIPES
from web2code.training.loader import steps
from web2code.training.order import Order

STEPS = 4


@pytest.mark.parametrize("grouping", ["none", "length", "modality_length"])
@pytest.mark.parametrize("changes", [{"micro_batch": 2}, {"pack_tokens": 200}, {"pack_tokens": 160}])
@pytest.mark.parametrize("num_devices", [1, 2])
def test_the_layout_is_that_of_what_is_trained_on(arrays, grouping, changes, num_devices):  # noqa: F811
    stage = STAGE.model_copy(update={"grouping": grouping, "precision": "fp32", **changes})
    order = Order(arrays, stage, SEED)
    made = [step for rank in range(num_devices) for step in steps(arrays, stage, order, 0, STEPS, 0, rank, num_devices)]
    batches = [batch for step in made for _, batch in step.micro_batches]
    computed = sum(batch["input_ids"].numel() for batch in batches)
    useful = sum(int(arrays.lengths[samples].sum()) for step in made for samples, _ in step.micro_batches)
    planned = layout_of(arrays, stage, num_devices, STEPS)
    assert planned.padding_share == pytest.approx(1 - useful / computed)
    assert planned.micro_steps == len(batches) / num_devices / STEPS
    if stage.pack_tokens:
        assert planned.padding_share == 0
        assert max(batch["input_ids"].numel() for batch in batches) <= stage.pack_tokens


def test_a_recipe_packs_the_samples_of_its_published_batches():
    recipe = RECIPES["llava15_7b"]()
    packed, rows = recipe.instruct, recipe.instruct.model_copy(update={"pack_tokens": 0})
    parts = MIXTURES["none"]().instruct
    layouts = {num: [assumed_layout(stage, parts, 576, 2048, num) for stage in (packed, rows)] for num in (4, 8)}
    assert [of_rows.micro_steps for _, of_rows in layouts.values()] == [2, 1]
    for of_packs, of_rows in layouts.values():
        assert of_packs.padding_share == 0
        assert 0.02 < of_rows.padding_share < 0.5
    assert 1 <= layouts[8][0].micro_steps < 1.3
    assert layouts[4][0].micro_steps > 1.5


@pytest.mark.parametrize("part", PARTS)
def test_assumed_lengths_have_the_means_that_tokens_are_counted_by(part):
    stage, size = RECIPES["llava15_7b"]().instruct, PARTS[part]
    lengths = assumed_samples({part: 1.0}, stage, 576, 10**6).lengths
    assert lengths.mean() == pytest.approx(576 + size.text_tokens, rel=0.02)
    cut = assumed_samples({part: 1.0}, stage, 576, 700).lengths
    assert (cut.min() >= 576, cut.max()) == (True, 700)

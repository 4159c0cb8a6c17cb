"""Plans of small models for what they decide, and of full-size ones beside what was published about them."""

import pytest

from tests.web2code.modelling.checkpoints import small_parts
from web2code.estimate.devices import Cluster, Device, parse_cluster
from web2code.estimate.memory import setup_of
from web2code.estimate.plan import GIB, MFU, fits_in, plan_recipe, plan_stage, sample_flops, setup_memory
from web2code.estimate.workload import stage_workload
from web2code.mixtures import MIXTURES
from web2code.recipes import RECIPES, resolve


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A recipe of a small model that is planned in no time."""
    parts = small_parts(tmp_path_factory.mktemp("parts"))
    return lambda overrides=None: resolve("llava15_7b", parts | (overrides or {}))


def cluster(num_devices, memory):
    return Cluster(num_devices=num_devices, device=Device(name="toy", memory=memory, teraflops=100, price=2.0))


def test_hours_and_cost_follow_from_operations(small):
    plan = plan_recipe(small(), cluster(8, 100), mfu=0.5)
    for stage in plan.stages:
        assert stage.fits
        assert not stage.alternatives
        assert stage.hours == pytest.approx(stage.flops / (8 * 100e12 * 0.5) / 3600)
    assert plan.cost == pytest.approx(plan.hours * 8 * 2.0)
    assert plan_recipe(small(), cluster(8, 100), mfu=0.25).hours == pytest.approx(2 * plan.hours)


def test_the_global_batch_is_split_exactly(small):
    for num_devices in (1, 2, 8, 64):
        for stage, batch in zip(plan_recipe(small(), cluster(num_devices, 100)).stages, (256, 128), strict=True):
            assert stage.setup.micro_batch * stage.accumulation * num_devices == batch
    with pytest.raises(ValueError, match=r"align: a global batch of 256 does not split over 3 workers"):
        plan_recipe(small(), cluster(3, 100))


def test_what_is_offered_fits_and_is_what_a_changed_recipe_needs(small):
    peak = plan_recipe(small(), cluster(2, 100)).stages[1].memory.total / GIB
    tight = cluster(2, (peak - 0.005 + 1) / 0.95)
    planned = plan_recipe(small(), tight).stages[1]
    assert not planned.fits
    assert all(fits_in(other.memory, tight) for other in planned.alternatives)
    offered = {other.change: other for other in planned.alternatives}
    smaller = offered["a smaller instruct.micro_batch"]
    assert smaller.setup.micro_batch < planned.setup.micro_batch
    again = plan_recipe(small({"instruct.micro_batch": smaller.setup.micro_batch}), tight).stages[1]
    assert again.fits
    assert again.memory == smaller.memory
    away = offered["instruct.zero_stage=3 and instruct.offload=true"]
    overrides = {"instruct.zero_stage": 3, "instruct.offload": True, "instruct.micro_batch": away.setup.micro_batch}
    assert plan_recipe(small(overrides), tight).stages[1].memory == away.memory
    assert away.memory.host > 0


def test_a_gpu_that_is_too_small_for_anything_is_said_so(small):
    planned = plan_recipe(small(), cluster(1, 1.0)).stages[1]
    assert not planned.fits
    assert not planned.alternatives


def test_a_recipe_from_scratch_and_a_share_above_one_are_refused(small):
    with pytest.raises(ValueError, match="'tiny' is made from scratch"):
        plan_recipe(RECIPES["tiny"](), cluster(1, 10))
    with pytest.raises(ValueError, match="mfu 3: it is a share of the peak"):
        plan_recipe(small(), cluster(1, 10), mfu=3)


# haotian-liu/LLaVA, README: hours of training on eight GPUs.
PUBLISHED_HOURS = [
    ("llava15_7b", "align", "8xA100-80", 3.5), ("llava15_7b", "instruct", "8xA100-40", 10.0),
    ("llava15_13b", "align", "8xA100-80", 5.5), ("llava15_13b", "instruct", "8xA100-80", 20.0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "stage", "gpus", "hours"), PUBLISHED_HOURS)
def test_the_hours_are_near_the_published_ones(name, stage, gpus, hours):
    recipe = RECIPES[name]()
    chosen = getattr(recipe, stage)
    parts = getattr(MIXTURES[recipe.mixture](), stage)
    work = stage_workload(chosen, parts, 576, recipe.model.max_length)
    flops = sample_flops(recipe.model, chosen.trainable, None, work.mean_length) * work.samples
    device = parse_cluster(gpus).device
    assert flops / (8 * device.teraflops * 1e12 * MFU) / 3600 == pytest.approx(hours, rel=0.25)


def test_llava_15_7b_fits_where_it_was_trained_and_not_on_half_of_it():
    recipe = RECIPES["llava15_7b"]()
    work = stage_workload(recipe.instruct, MIXTURES["none"]().instruct, 576, 2048)
    # Trained on eight A100 with 40 GB (README); out of memory on four (issue 569).
    assert plan_stage(recipe.model, recipe.instruct, work, parse_cluster("8xA100-40"), 0.3).fits
    memory = setup_memory(recipe.model, recipe.instruct.trainable, 2048, setup_of(recipe.instruct, 4, None))
    assert not fits_in(memory, parse_cluster("4xA100-40"))

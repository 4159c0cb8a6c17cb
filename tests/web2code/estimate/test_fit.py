import pytest

from web2code.estimate.devices import DEVICES, Cluster, Gpu
from web2code.estimate.fit import require_fit
from web2code.estimate.plan import plan_recipe
from web2code.recipes import RECIPES, resolve


def test_what_was_trained_there_passes_and_what_ran_out_of_memory_does_not():
    """LLaVA's README and its issue 569: LLaVA-1.5-7B on eight A100 with 40 GB, and not on four."""
    recipe = resolve("llava15_7b", {"instruct.pack_tokens": 0})
    require_fit(recipe, 8, DEVICES["A100-40"])
    with pytest.raises(
        ValueError,
        match=r"^instruct does not fit: it takes \d+ GiB on each of 4 GPUs, and A100-40 has 39; what fits: "
        r"a smaller instruct\.micro_batch \(instruct\.micro_batch=\d: \d\d GiB\), or .*--where gpu=unchecked",
    ):
        require_fit(recipe, 4, DEVICES["A100-40"])


def test_the_check_and_the_plan_agree():
    for name, num_devices, kind in (("llava15_7b", 4, "A100-40"), ("llava15_7b_qlora", 1, "L4")):
        recipe, cluster = resolve(name), Cluster(num_devices=num_devices, device=DEVICES[kind])
        if all(stage.fits for stage in plan_recipe(recipe, cluster).stages):
            require_fit(recipe, num_devices, cluster.device)
        else:
            with pytest.raises(ValueError, match="does not fit"):
                require_fit(recipe, num_devices, cluster.device)


def test_a_stage_in_a_precision_that_the_gpu_lacks_is_refused_whatever_its_size():
    with pytest.raises(ValueError, match=r"^align\.precision: T4 .*has no bfloat16"):
        require_fit(RECIPES["tiny"](), 1, DEVICES["T4"])
    require_fit(resolve("tiny", {"align.precision": "fp32", "instruct.precision": "fp32"}), 1, DEVICES["T4"])


def test_a_model_that_is_not_in_the_tables_is_not_looked_for():
    small = Gpu(name="small", memory=1, capability=(9, 0))
    require_fit(resolve("llava15_7b", {"model.language_model": "somebody/a-model-that-is-not-here"}), 8, small)
    require_fit(resolve("qwen25_vl_7b", {"model.name": "somebody/a-model-that-is-not-here"}), 8, small)
    with pytest.raises(ValueError, match="does not fit"):
        require_fit(resolve("qwen25_vl_7b"), 8, small)

import pytest

from web2code.config import StageConfig
from web2code.training.deepspeed_config import accumulation_steps, deepspeed_config
from web2code.training.loop import learning_rate

STAGE = StageConfig(
    name="instruct", trainable=("projector",), zero_stage=3, template="user_assistant", steps=100, global_batch=128,
    micro_batch=16, learning_rate=2e-5,
)  # fmt: skip


def test_the_global_batch_is_what_the_recipe_says_on_any_number_of_workers():
    for world_size in (1, 2, 8):
        micro, accumulation = accumulation_steps(STAGE, world_size)
        assert micro * accumulation * world_size == 128
    assert deepspeed_config(STAGE, 4)["zero_optimization"]["stage"] == 3


def test_a_batch_that_does_not_split_is_refused_with_what_to_change():
    with pytest.raises(ValueError, match=r"a global batch of 128 does not split over 3 workers; set instruct"):
        accumulation_steps(STAGE, 3)
    with pytest.raises(ValueError, match=r"set instruct\.micro_batch to a divisor of 64"):
        accumulation_steps(STAGE.model_copy(update={"micro_batch": 24}), 2)


def test_only_what_zero_splits_is_offloaded():
    values = STAGE.model_dump() | {"offload": True}
    config = deepspeed_config(StageConfig.model_validate(values), 4)["zero_optimization"]
    assert config["offload_optimizer"]["device"] == "cpu"
    with pytest.raises(ValueError, match="instruct: offload needs a zero_stage of 2 or 3"):
        StageConfig.model_validate(values | {"zero_stage": 1})


@pytest.mark.parametrize("overlap", [False, True])
def test_workers_exchange_while_they_compute_where_that_is_asked_for(overlap):
    assert deepspeed_config(STAGE, 4, overlap)["zero_optimization"]["overlap_comm"] is overlap


def test_the_rate_warms_up_and_falls_to_nothing():
    rates = [learning_rate(STAGE, step, 100) for step in range(100)]
    assert max(rates) == pytest.approx(2e-5)
    assert rates.index(max(rates)) in (2, 3)
    assert rates[0] < rates[1] < rates[2]
    assert rates[-1] < 2e-8

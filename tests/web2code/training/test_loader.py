import threading
import time

import numpy as np
import pytest
import torch

from tests.web2code.training.conftest import without_pictures
from tests.web2code.training.test_order import STAGE
from web2code.training.loader import ahead, steps
from web2code.training.order import Order


def loaders():
    return sum(thread.name == "loader" for thread in threading.enumerate())


def soon(condition):
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_what_is_made_ahead_comes_in_order():
    assert list(ahead(iter(range(20)))) == list(range(20))


def test_no_more_is_made_than_was_asked_for():
    made = []
    items = ahead(made.append(number) or number for number in range(20))
    assert next(items) == 0
    assert soon(lambda: len(made) == 4)
    time.sleep(0.3)
    assert len(made) == 4, "one taken, two ready, one waiting for room"


def test_an_error_comes_where_the_item_would_have():
    def broken():
        yield 1
        raise OSError("the disk is gone")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)


def test_who_stops_early_leaves_no_thread():
    items = ahead(iter(range(100)))
    next(items)
    items.close()
    assert soon(lambda: loaders() == 0)


@pytest.mark.parametrize("packed", [0, 200])
def test_workers_share_every_global_batch(arrays, packed):
    stage = STAGE.model_copy(update={"micro_batch": 2, "pack_tokens": packed, "precision": "fp32"})
    order = Order(arrays, stage, seed=0)
    of_workers = [list(steps(arrays, stage, order, 2, 5, 0, rank, 2)) for rank in range(2)]
    for number, (one, other) in enumerate(zip(*of_workers, strict=True), 2):
        assert np.array_equal(one.samples, order.batch(number))
        assert len(one.micro_batches) == len(other.micro_batches)
        held = [samples for step in (one, other) for samples, _ in step.micro_batches]
        assert sorted(np.concatenate(held)) == sorted(one.samples)
        learned = sum(int((batch["labels"] >= 0).sum()) for step in (one, other) for _, batch in step.micro_batches)
        assert learned == one.num_tokens == other.num_tokens == arrays.label_counts[one.samples].sum()
        pictures = sum(batch["num_images"] for step in (one, other) for _, batch in step.micro_batches)
        assert pictures == stage.global_batch


@pytest.mark.parametrize(
    ("zero_stage", "trainable", "is_seen_by_other", "num_pictures"),
    [
        (3, ("projector",), True, 1), (3, ("projector",), False, 0), (2, ("projector", "language_model"), True, 0),
        (1, ("vision_merge",), True, 1), (2, ("vision_tower",), True, 1), (3, ("vision_tower",), False, 1),
    ],
)  # fmt: skip
def test_a_worker_without_a_picture_gets_a_stand_in_where_the_tower_is_trained_or_gathered(
    arrays, zero_stage, trainable, is_seen_by_other, num_pictures
):
    changes = {"micro_batch": 4, "global_batch": 8, "zero_stage": zero_stage, "trainable": trainable}
    stage = STAGE.model_copy(update=changes)
    order = Order(arrays, stage, seed=0)
    mine, others = order.batch(0)[1::2], order.batch(0)[::2]
    mixed = without_pictures(arrays, mine if is_seen_by_other else [*mine, *others])
    (step,) = steps(mixed, stage, order, 0, 1, 0, 1, 2)
    ((samples, batch),) = step.micro_batches
    assert np.array_equal(samples, mine)
    assert batch["num_images"] == 0
    assert batch["pixel_values"].shape == (num_pictures, 3, 32, 32)
    assert batch["pixel_values"].dtype == torch.bfloat16

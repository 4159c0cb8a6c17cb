"""Packed training takes the steps of padded training, on two workers, of which both, one or neither sees a picture."""

import json
import os

import pytest
import torch
import torch.distributed as dist

from tests.web2code.training.conftest import without_pictures
from tests.web2code.training.processes import run
from web2code.config import StageConfig
from web2code.modelling.llava import load_model
from web2code.training.arrays import load_arrays
from web2code.training.loader import shares
from web2code.training.loop import train_stage
from web2code.training.order import Order

STAGE = StageConfig(
    name="instruct", trainable=("projector", "language_model", "vision_tower"), zero_stage=2,
    template="user_assistant", steps=6, global_batch=16, micro_batch=4, learning_rate=1e-2, beta2=0.95,
    checkpoint_every=5, precision="fp32",
)  # fmt: skip
LAYOUTS = {"padded": {}, "packed": {"pack_tokens": 160, "attention": "varlen"}}


def stages(zero_stage):
    return {name: STAGE.model_copy(update=more | {"zero_stage": zero_stage}) for name, more in LAYOUTS.items()}


def mixed(prepared):
    """One sample in eight keeps its picture."""
    arrays = load_arrays(prepared)
    return without_pictures(arrays, [i for i in range(len(arrays.lengths)) if arrays.pages[i] % 8])


def work(rank, prepared, folder, zero_stage):
    os.environ["LOCAL_RANK"] = "0"
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    for name, stage in stages(zero_stage).items():
        model = load_model(prepared / "base", torch.float32)
        _, history = train_stage(model, stage, mixed(prepared), 0, folder / name)
        if rank == 0:
            (folder / f"{name}.json").write_text(json.dumps(history.losses))
    dist.destroy_process_group()


@pytest.mark.parametrize("zero_stage", [2, 3])
def test_packed_training_takes_the_steps_of_padded_training(prepared, tmp_path, zero_stage):
    arrays = mixed(prepared)
    assert [seeing(stage, arrays) for stage in stages(zero_stage).values()] == [{0, 1, 2}, {0, 1, 2}]
    run(work, *((rank, prepared, tmp_path, zero_stage) for rank in range(2)))
    padded, packed = (json.loads((tmp_path / f"{name}.json").read_text()) for name in LAYOUTS)
    assert packed == pytest.approx(padded, rel=1e-4)
    assert packed[-1] < packed[0]


def seeing(stage, arrays):
    """How many of two workers see a picture in a micro step."""
    order = Order(arrays, stage, seed=0)
    return {
        sum((arrays.pages[held] >= 0).any() for held in of_workers)
        for step in range(stage.steps)
        for of_workers in zip(*shares(stage, arrays, order.batch(step), 2), strict=True)
    }

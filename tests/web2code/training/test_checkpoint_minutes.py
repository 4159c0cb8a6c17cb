"""Checkpoints by the clock: all workers follow that of the first, and nothing is trained otherwise."""

import os
import time
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from tests.web2code.training.processes import run
from tests.web2code.training.workers import STAGE, read, train, write_run
from web2code.training import measurements

EVER, NEVER = 1e-9, 1e6
# Of the two workers' clocks: the seconds that each has for a real one.
CLOCKS = {"first-late": (1.0, 0.0), "second-late": (0.0, 1e12)}


def work(rank, prepared, folder, clocks):
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(os.getppid() + 7)}
    real = time.perf_counter
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    for name, pace in clocks.items():
        measurements.time = SimpleNamespace(perf_counter=lambda pace=pace: real() * pace[rank] + 1e-3 * real())
        minutes = EVER if name == "first-late" else 1e3
        stage = STAGE.model_copy(update={"checkpoint_minutes": minutes, "checkpoint_every": 1000})
        write_run(folder / name, *train(prepared, stage, folder / name))
    measurements.time = time
    stage = STAGE.model_copy(update={"checkpoint_minutes": NEVER, "checkpoint_every": 1000})
    write_run(folder / "never", *train(prepared, stage, folder / "never"))


@pytest.fixture(scope="module")
def runs(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("minutes")
    run(work, *((rank, prepared, folder, CLOCKS) for rank in range(2)))
    return folder


def saved(folder):
    return sorted(path.name for path in folder.glob("step-*"))


def test_a_checkpoint_is_saved_when_the_last_is_old_by_the_first_workers_clock(runs):
    last = f"step-{STAGE.steps:08}-by-2"
    assert saved(runs / "first-late")[-2:] == [f"step-{STAGE.steps - 1:08}-by-2", last]
    assert saved(runs / "second-late") == saved(runs / "never") == [last]


def test_what_is_trained_does_not_depend_on_the_clock(runs):
    late, never = (read(runs / name / "run.pt") for name in ("first-late", "never"))
    assert late["history"]["losses"] == never["history"]["losses"]
    for name, weight in never["weights"].items():
        assert torch.equal(late["weights"][name], weight)


def test_the_most_of_both_workers_is_told(runs):
    for step in read(runs / "never" / "run.pt")["history"]["metrics"]:
        assert step["memory_bytes"] > 10**7
        assert 0 <= step["data_wait_share"] <= 1

"""A worker that is stopped where no step is made is found by the others, who hang there too."""

import os
import signal

import pytest
import torch
import torch.distributed as dist

from tests.web2code.training.processes import start
from tests.web2code.training.workers import STAGE
from web2code.modelling.llava import load_model
from web2code.training import loop
from web2code.training.arrays import load_arrays
from web2code.training.checkpoint import Checkpoints
from web2code.training.watchdog import LONG, Phase, Watchdog, stalled

ENDING = STAGE.model_copy(update={"steps": 1, "held_out": 8})
SECONDS = 1.0
# What one of two workers comes to, and no further.
PLACES = {
    Phase.LOAD: (loop, "_build_engine"),
    Phase.HELD_OUT: (loop, "held_out_loss"),
    Phase.CHECKPOINT: (Checkpoints, "save"),
    Phase.WEIGHTS: (loop, "trained_weights"),
}


def stop(*_):
    os.kill(os.getpid(), signal.SIGSTOP)


def work(rank, prepared, folder, phase):
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(os.getppid() + 11)}
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    if rank == 1:
        setattr(*PLACES[phase], stop)
    model = load_model(prepared / "base", torch.float32)
    with Watchdog(folder / "workers", rank, SECONDS) as watchdog:
        if phase == Phase.LOAD:
            watchdog.begin(None, phase)
        arrays = load_arrays(prepared)
        engine, _ = loop.train_stage(model, ENDING, arrays, 0, folder / "checkpoints", watchdog=watchdog)
        loop.trained_weights(engine)


@pytest.mark.parametrize("phase", PLACES, ids=lambda phase: phase.name)
def test_a_worker_that_is_stopped_outside_of_a_step_is_found(prepared, tmp_path, phase):
    (hung, stopped), errors = start(work, *((rank, prepared, tmp_path, phase) for rank in range(2)))
    hung.join(120)
    told = stalled(tmp_path / "workers")
    for process in (hung, stopped):
        process.kill()
    assert hung.exitcode == 1, hung.exitcode
    assert errors.empty(), errors.get()
    hang, silence = told
    assert hang.startswith(f"rank 0 (process {hung.pid} on ")
    doing = phase if phase == Phase.LOAD else f"{phase} 1"
    assert f" made no progress for {LONG * SECONDS:.0f} s {doing}; it hung in " in hang
    assert silence.startswith(f"nothing was heard of rank 1 (process {stopped.pid} on ")

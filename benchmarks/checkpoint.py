"""How long a checkpoint keeps training from going on, beside DeepSpeed's own save of the same state."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from benchmarks.arms import Arm, report

# 100 M parameters: 1.4 GB of weights, master weights and AdamW states in bf16 and float32.
WIDTH, LAYERS, BATCH, STEPS, ROUNDS = 2048, 24, 8, 6, 5


def main() -> None:
    """Save the same state both ways in turns, each in the middle of some steps."""
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ["LOCAL_RANK"] = "0"
    import deepspeed

    from web2code.training.checkpoint import TAG, Checkpoints
    from web2code.training.history import History

    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=0, world_size=1)
        torch.manual_seed(0)
        model = torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)))
        config = {
            "train_batch_size": BATCH, "bf16": {"enabled": True}, "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False, "zero_optimization": {"stage": 2},
        }  # fmt: skip
        engine, *_ = deepspeed.initialize(model=model, optimizer=torch.optim.AdamW(model.parameters()), config=config)
        theirs_writer = engine.checkpoint_engine
        checkpoints = Checkpoints(Path(folder) / "ours", engine)
        ours_writer = engine.checkpoint_engine
        arms = {name: Arm(name) for name in ("DeepSpeed's save_checkpoint", "ours: what training waits for")}

        def steps(waits: list[float]) -> None:
            for _ in range(STEPS):
                engine.backward(engine(torch.ones(BATCH, WIDTH, dtype=torch.bfloat16)).square().mean())
                began = time.perf_counter()
                checkpoints.before_update()
                waits.append(time.perf_counter() - began)
                engine.step()

        for number in range(ROUNDS + 1):
            steps([])
            engine.checkpoint_engine = theirs_writer
            began = time.perf_counter()
            engine.save_checkpoint(f"{folder}/theirs-{number}", tag=TAG, exclude_frozen_parameters=True)
            theirs = time.perf_counter() - began
            engine.checkpoint_engine = ours_writer
            began = time.perf_counter()
            checkpoints.save(number, History(1, [], []))
            waits = [time.perf_counter() - began]
            steps(waits)
            checkpoints.finish()
            if number:  # the first round warms up
                for arm, seconds in zip(arms.values(), (theirs, sum(waits)), strict=True):
                    arm.seconds.append(seconds)
            print(f"round {number}  {theirs:.3f} s  {sum(waits):.4f} s", flush=True)
            other = checkpoints.folder / f"step-{number:08}-by-1" / TAG
            for path in (Path(folder) / f"theirs-{number}" / TAG).glob("*.pt"):
                left, right = (torch.load(one, weights_only=False) for one in (path, other / path.name))
                assert same(left, right), path.name
        report("Checkpoint", 1, "saves", arms, "A model of 100 M parameters, ZeRO-2, one process.")
        theirs, ours = (arm.median for arm in arms.values())
        print(f"{ours / theirs:.2%} of a synchronous save")


def same(left: Any, right: Any) -> bool:
    """Whether two states hold the same numbers; what is neither tensor nor container has to be of one type."""
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right)


if __name__ == "__main__":
    main()

"""How much of a stage's time is neither forward, nor backward pass, nor optimizer."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.arms import ROUNDS, apart, machine

STEPS, CHECKPOINT_EVERY = 4, 2
COMPUTED = ("forward", "backward", "step")


def stage(folder: str) -> dict[str, float]:
    """Seconds of a stage's steps, from the first to the last, and of what an engine computes in them.

    The mixture of `benchmarks.train_step`, packed, in one process under ZeRO-2; checkpoints are far more frequent than
    any recipe's.
    """
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ["LOCAL_RANK"] = "0"
    import deepspeed
    import torch.distributed as dist

    from benchmarks.train_step import GLOBAL_BATCH, SHAPES, build, draw, prepared, sizes_of
    from web2code.config import StageConfig
    from web2code.training.loop import train_stage

    spent = dict.fromkeys(COMPUTED, 0.0)

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            result = work(*arguments, **named)
            spent[name] += time.perf_counter() - began
            return result

        return measured

    for name in COMPUTED:
        setattr(deepspeed.DeepSpeedEngine, name, timed(name, getattr(deepspeed.DeepSpeedEngine, name)))
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=0, world_size=1)
    shape = SHAPES["small"]
    config = StageConfig(
        name="instruct", trainable=("projector", "language_model"), zero_stage=2, template="v1", steps=STEPS + 1,
        global_batch=GLOBAL_BATCH, learning_rate=1e-4, pack_tokens=shape.pack_tokens, attention="varlen",
        checkpoint_every=CHECKPOINT_EVERY,
    )  # fmt: skip
    arrays = prepared(draw(GLOBAL_BATCH * (STEPS + 1), *sizes_of(shape)))
    marks: list[float] = []

    def on_step(step: int, history: Any) -> None:
        if step == 1:
            spent.update(dict.fromkeys(COMPUTED, 0.0))
        if step in (1, STEPS + 1):
            marks.append(time.perf_counter())

    _, history = train_stage(build(shape), config, arrays, 0, Path(folder), on_step)
    waited = statistics.mean(one["data_wait_share"] for one in history.metrics[1:])
    return spent | {"all": marks[1] - marks[0], "waited": waited, "loss": history.losses[-1]}


def main() -> None:
    """The same stage, in processes of its own."""
    shares, losses = [], set()
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            *_, got = apart(partial(stage, folder))
        shares.append(1 - sum(got[name] for name in COMPUTED) / got["all"])
        losses.add(got["loss"])
        parts = ", ".join(f"{name} {got[name] / got['all']:.1%}" for name in COMPUTED)
        print(f"round {number + 1}  {got['all'] / STEPS:.3f} s a step: {parts}, waiting for data {got['waited']:.2%}, "
              f"all but the first three {shares[-1]:.2%}", flush=True)  # fmt: skip
    assert len(losses) == 1, f"the rounds ended with different losses: {losses}"
    print(
        f"Neither forward, backward nor optimizer: {statistics.median(shares):.2%} ({min(shares):.2%} to "
        f"{max(shares):.2%}), with a checkpoint every {CHECKPOINT_EVERY} steps; {ROUNDS} rounds of {STEPS}; {machine()}"
    )


if __name__ == "__main__":
    main()

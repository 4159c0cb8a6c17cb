"""Stages that one number of workers begins and another goes on with, in gloo processes of their own."""

import os
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict

import deepspeed
import numpy as np
import torch
import torch.distributed as dist
from deepspeed.utils import safe_get_full_optimizer_state

from tests.web2code.training.conftest import without_pictures
from tests.web2code.training.processes import CONTEXT, run
from web2code.config import StageConfig
from web2code.estimate.tracing import LiveBytes
from web2code.modelling.llava import load_model
from web2code.training import deepspeed_config as settings
from web2code.training import loop
from web2code.training.arrays import load_arrays
from web2code.training.checkpoint import Checkpoints
from web2code.training.deepspeed_config import deepspeed_config
from web2code.training.history import History
from web2code.training.order import Order

# A frozen tower, two parameter groups, more than one micro step for each worker.
STAGE = StageConfig(
    name="instruct", trainable=("projector", "language_model"), module_learning_rates={"projector": 1e-2},
    zero_stage=2, template="user_assistant", steps=5, global_batch=8, micro_batch=2, learning_rate=5e-3,
    checkpoint_every=2, precision="fp32",
)  # fmt: skip
PACKED = {"pack_tokens": 160, "attention": "varlen"}
STAGES = {
    f"zero{zero_stage}-{layout}-{precision}": STAGE.model_copy(
        update={"zero_stage": zero_stage, "precision": precision, **(PACKED if layout == "packed" else {})}
    )
    for zero_stage, layout, precision in (
        (0, "padded", "fp32"), (2, "padded", "fp32"), (2, "packed", "bf16"), (3, "packed", "fp32"),
        (3, "padded", "bf16"),
    )
}  # fmt: skip
STAGES["zero3-offloaded-fp32"] = STAGES["zero3-packed-fp32"].model_copy(update={"offload": True})
# Of pictured samples and others, with a tower that is trained.
TOWER_TOO = ("projector", "language_model", "vision_tower")
MIXED = {
    f"mixed-zero{zero_stage}-fp32": STAGE.model_copy(update={"zero_stage": zero_stage, "trainable": TOWER_TOO})
    for zero_stage in (1, 2, 3)
}
STAGES |= MIXED
PARTITIONED = [name for name in STAGES if name.startswith("zero3") and not STAGES[name].offload]
INTERRUPTED_AFTER = 3
SMALL = ["zero1-fp32", "zero2-fp32", "zero2-bf16", "zero3-fp32", "zero3-bf16", "zero0-fp32"]
SMALL_STEPS, SMALL_BEST = 5, 2
# So high a rate that the held-out loss soon gets worse.
WILD = {"held_out": 8, "keep": "best", "checkpoint_every": 1, "steps": 3, "learning_rate": 0.3, "warmup_ratio": 0.5}


class Interrupted(Exception):
    pass


class Small(torch.nn.Module):
    """Parameters that no number of workers divides evenly; `frozen` is the same whatever the seed."""

    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(0)
        self.frozen = torch.nn.Linear(6, 5).requires_grad_(False)
        torch.manual_seed(seed)
        self.first, self.second = torch.nn.Linear(5, 7), torch.nn.Linear(7, 3)

    def forward(self, x):
        return self.second(torch.tanh(self.first(self.frozen(x)))).square().mean()


def run_all(prepared, folder):
    """Begin everything with one and with two workers, and go on with the other number."""
    barrier = CONTEXT.Barrier(3)
    run(work, *((rank, num, prepared, folder, barrier) for num in (1, 2) for rank in range(num)))


def work(rank, world_size, prepared, folder, barrier):
    """What each process does: first all begin, then each goes on with what the other number of workers began."""
    settings.PERSISTENT_NUMBERS = 1000  # so that ZeRO-3 splits weights as small as these
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(os.getppid() + world_size)}
    dist.init_process_group("gloo", f"file://{folder}/store-{world_size}", rank=rank, world_size=world_size)
    begin(prepared, folder / f"by-{world_size}")
    barrier.wait(600)
    go_on(prepared, folder / f"by-{3 - world_size}")
    barrier.wait(600)


def begin(prepared, folder):
    for name, stage in STAGES.items():
        write_run(folder / "whole" / name, *train(prepared, stage, folder / "whole" / name))
        with suppress(Interrupted):
            train(prepared, stage, folder / "interrupted" / name, INTERRUPTED_AFTER)
        wait_for_checkpoint(folder / "interrupted" / name)
    for name in PARTITIONED:
        with left_to_deepspeed():
            write_run(folder / "left" / name, *train(prepared, STAGES[name], folder / "left" / name))
    for name in ("zero2", "zero3"):
        measure_placing(prepared, int(name[-1]), folder / "placed" / f"{name}.pt")
    for name in SMALL:
        save_small(folder / "small" / name, name)
    dist.barrier()
    if dist.get_rank() == 0:
        spoil(folder)
    dist.barrier()


def go_on(prepared, folder):
    for name, stage in STAGES.items():
        write_run(folder / "resumed" / name, *train(prepared, stage, folder / "interrupted" / name))
    for name in SMALL:
        restore_small(folder / "small" / name, name)
    for name in ("damaged", "unfinished"):
        restore_small(folder / name, SMALL[0])
    for zero_stage in (0, 2, 3):
        find_best(prepared, zero_stage, folder / f"best-zero{zero_stage}")


def train(prepared, stage, folder, interrupted_after=0):
    def on_step(step, history):
        if step == interrupted_after:
            raise Interrupted

    model = load_model(prepared / "base", torch.float32)
    return loop.train_stage(model, stage, arrays_of(prepared, stage), 0, folder, on_step)


def arrays_of(prepared, stage):
    """Where the tower is trained the second of two workers sees no picture, nor does the first in a step's first half.

    No sample is in two of the steps.
    """
    arrays = load_arrays(prepared)
    if "vision_tower" not in stage.trainable:
        return arrays
    batches = [Order(arrays, stage, 0).batch(step) for step in range(stage.steps)]
    unseen = [samples for batch in batches for samples in (batch[1::2], batch[: 2 * stage.micro_batch : 2])]
    return without_pictures(arrays, np.concatenate(unseen))


@contextmanager
def left_to_deepspeed():
    """DeepSpeed itself brings models to their devices, whole, and partitions them then."""
    place, loop.place = loop.place, lambda *_: None
    yield
    loop.place = place


def measure_placing(prepared, zero_stage, path):
    """Bytes that each worker holds at once, and in the end, of a model that is brought to its device in bfloat16."""
    model = load_model(prepared / "base")
    sizes = [2 * parameter.numel() for parameter in model.parameters()]
    stage = STAGE.model_copy(update={"zero_stage": zero_stage, "precision": "bf16"})
    # Beside what lies in files that are mapped into memory.
    with LiveBytes([*model.parameters(), *model.buffers()]) as live:
        loop.place(model, stage, deepspeed_config(stage, dist.get_world_size()))
    held = [None] * dist.get_world_size()
    dist.all_gather_object(held, (live.peak, live.now))
    write(path, {"held": held, "sizes": sizes})


def wait_for_checkpoint(folder):
    """A run that was interrupted may still be writing."""
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*/manifest-*.json"))) < dist.get_world_size():
        assert time.monotonic() < deadline, folder
        time.sleep(0.01)


def write_run(folder, engine, history):
    write(folder / "run.pt", {"history": asdict(history), **full_state(engine)})


def full_state(engine):
    """Master weights and moments of the trained parameters, and the steps of all optimizer states."""
    zero_stage, optimizer = engine.zero_optimization_stage(), engine.optimizer
    if zero_stage in (1, 2):
        # DeepSpeed looks the moments up after a step, which an engine that was just restored has not made.
        optimizer._hp_optimizer_states_linked = False
        optimizer._lazy_init_hp_params_optimizer_state()
    states = optimizer.optimizer.state if zero_stage else optimizer.state

    def moment(parameter, key):
        return safe_get_full_optimizer_state(parameter, key) if zero_stage else states[parameter][key]

    trained = [(name, each) for name, each in engine.module.named_parameters() if each.requires_grad]
    return {
        "weights": loop.trained_weights(engine),
        **{key: {name: moment(each, key).clone() for name, each in trained} for key in ("exp_avg", "exp_avg_sq")},
        "steps": [float(each["step"]) for each in states.values()],
    }


def small_engine(name, seed):
    zero_stage, precision = name.split("-")
    stage = STAGE.model_copy(update={"zero_stage": int(zero_stage[-1]), "precision": precision})
    config = deepspeed_config(stage, dist.get_world_size())
    # So small that one worker has other flat groups than two, and that some parameters are whole and some are not.
    config["zero_optimization"] |= {"sub_group_size": 20, "stage3_param_persistence_threshold": 10}
    model = Small(seed)
    groups = [
        {"params": list(model.first.parameters()), "share": 1.0},
        {"params": list(model.second.parameters()), "share": 0.5, "lr": 0.05},
    ]
    return deepspeed.initialize(model=model, optimizer=torch.optim.AdamW(groups, lr=0.1), config=config)[0]


def small_loss(engine, step):
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(step))
    return engine(x.bfloat16() if engine.bfloat16_enabled() else x)


def save_small(folder, name):
    engine = small_engine(name, seed=1)
    checkpoints = Checkpoints(folder, engine)
    history = History(SMALL_STEPS, [], [])
    for step in range(1, SMALL_STEPS + 1):
        engine.backward(small_loss(engine, step))
        checkpoints.before_update()
        engine.step()
        history.losses.append(float(step))
        history.held_out.append((step, abs(step - float(SMALL_BEST))))
        write_small(folder / f"state-{step}.pt", engine)
        checkpoints.save(step, history)
    checkpoints.finish()


def restore_small(folder, name):
    """The newest whole checkpoint, then the best."""
    engine = small_engine(name, seed=2)
    checkpoints = Checkpoints(folder, engine)
    step, history = checkpoints.restore()
    write_small(folder / "restored.pt", engine)
    write(folder / "restored_history.pt", {"step": step, "losses": history.losses})
    checkpoints.load_step(history.best_step())
    write_small(folder / "best.pt", engine)


def write_small(path, engine):
    """All that a checkpoint holds, and a loss that the module's own weights give."""
    with torch.no_grad():
        loss = small_loss(engine, 0).item()
    groups = [{key: group[key] for key in ("lr", "share", "betas")} for group in engine.optimizer.param_groups]
    write(path, {**full_state(engine), "loss": loss, "groups": groups, "global_steps": engine.global_steps})


def spoil(folder):
    """Copies of checkpoints whose newest lacks the last worker's manifest, or has a wrong bit in that worker's file."""
    for name in ("damaged", "unfinished"):
        shutil.copytree(folder / "small" / SMALL[0], folder / name)
        (newest,) = (folder / name).glob(f"step-{SMALL_STEPS:08}-*")
        last = dist.get_world_size() - 1
        if name == "unfinished":
            (newest / f"manifest-{last}.json").unlink()
        else:
            (path,) = newest.rglob(f"*pp_rank_{last}_*optim_states.pt")
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)


def find_best(prepared, zero_stage, folder):
    """A stage that keeps its best step: what was measured, and the held-out loss of the weights that it ends with."""
    stage = StageConfig.model_validate(STAGE.model_dump() | WILD | {"zero_stage": zero_stage})
    engine, history = train(prepared, stage, folder)
    arrays = load_arrays(prepared)
    held_out = Order(arrays, stage, 0).held_out
    loss = loop.held_out_loss(engine, stage, arrays, held_out)
    training = all(module.training for module in engine.module.modules())
    write(folder / "best.pt", {"loss": loss, "history": asdict(history), "training": training})


def write(path, found):
    if dist.get_rank() == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(found, path)


def read(path):
    return torch.load(path)

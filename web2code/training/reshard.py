"""A checkpoint's master weights and AdamW states, divided among another number of workers than wrote it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.checkpoint.constants import (
    BASE_OPTIMIZER_STATE,
    FP32_FLAT_GROUPS,
    OPTIMIZER_STATE_DICT,
    PARAM_SHAPES,
    SINGLE_PARTITION_OF_FP32_GROUPS,
)
from deepspeed.utils.zero_to_fp32 import get_model_state_files, get_optim_files

MOMENTS = ("exp_avg", "exp_avg_sq")

# The flat tensors of one worker, by group.
Flats = list[torch.Tensor]


def load_resharded(engine: deepspeed.DeepSpeedEngine, folder: Path) -> None:
    """Load what any number of workers saved under ZeRO-1, -2 or -3, bit for bit; every worker must call this.

    Files are mapped into memory, and of them only what this worker holds is read. Frozen parameters stay as they are:
    training does not change them.

    DeepSpeed's universal checkpoints (deepspeed/checkpoint/ds_to_universal.py, 0.19.8) serve the same need, but under
    ZeRO-3 their loader gives every parameter group the settings of the first, a group's share of the learning rate
    among them, and they want a second copy of the checkpoint with three files or more for each parameter.
    """
    optimizer, zero3 = engine.optimizer, engine.zero_optimization_stage() == 3
    written = [_read(path)[OPTIMIZER_STATE_DICT] for path in get_optim_files(str(folder))]
    about = _read(get_model_state_files(str(folder))[0])
    if zero3:
        optimizer.checkpoint_event_prologue()
    state = _zero3_state(engine, written, about[PARAM_SHAPES]) if zero3 else _zero2_state(engine, written)
    optimizer.load_state_dict([state] * dist.get_world_size(), load_from_fp32_weights=True)
    if zero3:
        optimizer.checkpoint_event_epilogue()
    else:
        optimizer.update_lp_params()
    for counter in ("global_steps", "global_samples", "skipped_steps"):
        setattr(engine, counter, about[counter])


def cut(pieces: list[torch.Tensor], start: int, size: int) -> torch.Tensor:
    """Numbers `start` to `start + size` of one-dimensional pieces in a row; zeros beyond their end."""
    found = torch.zeros(size, dtype=pieces[0].dtype)
    offset = 0
    for piece in pieces:
        low, high = max(start, offset), min(start + size, offset + len(piece))
        if low < high:
            found[low - start : high - start] = piece[low - offset : high - offset]
        offset += len(piece)
    return found


def _read(path: str) -> dict[str, Any]:
    return torch.load(path, map_location="cpu", mmap=True, weights_only=False)


def _zero2_state(engine: deepspeed.DeepSpeedEngine, written: list[dict[str, Any]]) -> dict[str, Any]:
    """The parameters of a group lie in a row, which is cut into one part for each worker."""
    sizes = [part.numel() for part in engine.optimizer.single_partition_of_fp32_groups]

    def mine(of_writers: list[Flats]) -> Flats:
        of_groups = zip(sizes, zip(*of_writers, strict=True), strict=True)
        return [cut(list(pieces), dist.get_rank() * size, size) for size, pieces in of_groups]

    saved = [state[BASE_OPTIMIZER_STATE] for state in written]
    return written[0] | {
        SINGLE_PARTITION_OF_FP32_GROUPS: mine([state[SINGLE_PARTITION_OF_FP32_GROUPS] for state in written]),
        BASE_OPTIMIZER_STATE: _adam(saved, list(range(len(sizes))), mine),
    }


def _zero3_state(
    engine: deepspeed.DeepSpeedEngine, written: list[dict[str, Any]], shapes: list[dict[str, torch.Size]]
) -> dict[str, Any]:
    """Every parameter is cut by itself into one part for each worker, the last of them padded.

    The parts of a parameter group lie in one flat tensor or, where that is large, in several: how many depends on the
    number of workers, and so parameters are found by their names.
    """

    def mine(of_writers: list[Flats]) -> Flats:
        pieces = {
            name: [flats[group][offset : offset + size] for flats in of_writers]
            for name, group, offset, size in _places(shapes, len(of_writers))
        }

        def part(parameter: torch.nn.Parameter) -> torch.Tensor:
            size = parameter.partition_numel()
            return cut(pieces[engine.param_names[parameter]], dist.get_rank() * size, size)

        return [torch.cat([part(parameter) for parameter in group]) for group in engine.optimizer.fp16_groups]

    saved = [state[OPTIMIZER_STATE_DICT] for state in written]
    belongs = list(engine.optimizer.sub_group_to_group_id.values())
    return written[0] | {
        FP32_FLAT_GROUPS: mine([state[FP32_FLAT_GROUPS] for state in written]),
        OPTIMIZER_STATE_DICT: _adam(saved, belongs, mine),
    }


def _places(shapes: list[dict[str, torch.Size]], num_writers: int) -> Iterator[tuple[str, int, int, int]]:
    """Where each parameter's part lies in the flat tensors of every writer: name, group, offset, size."""
    for group, parameters in enumerate(shapes):
        offset = 0
        for name, shape in parameters.items():
            size = -(-shape.numel() // num_writers)
            yield name, group, offset, size
            offset += size


def _adam(saved: list[dict[str, Any]], belongs: list[int], mine: Callable[[list[Flats]], Flats]) -> dict[str, Any]:
    """The state of torch's AdamW for this worker; `belongs` names the parameter group of each flat tensor."""
    moments = {
        key: mine([[state["state"][group][key] for group in sorted(state["state"])] for state in saved])
        for key in MOMENTS
    }
    step = saved[0]["state"][0]["step"]
    return {
        "state": {
            flat: {"step": step.clone(), **{key: moments[key][flat] for key in MOMENTS}} for flat in range(len(belongs))
        },
        "param_groups": [
            {**settings, "params": [flat for flat, of in enumerate(belongs) if of == number]}
            for number, settings in enumerate(saved[0]["param_groups"])
        ],
    }

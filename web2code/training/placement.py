"""A model's weights on this worker's device: brought there one tensor after another, and under ZeRO-3 in part."""

from __future__ import annotations

import os
from typing import Any

import deepspeed
import torch
from deepspeed.accelerator import get_accelerator
from torch import nn

from web2code.config import StageConfig

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def place(model: nn.Module, stage: StageConfig, config: dict[str, Any]) -> None:
    """Bring a model, in place, to this worker's device in the stage's precision; every worker must call this.

    What `load_model` has read lies in files that are mapped into memory, once for all workers of a machine. Left to
    DeepSpeed each worker would make copies of all of it: in main memory to change the type, and then on its device, of
    which ZeRO-3 takes a part. Here a worker holds a single tensor beside what it keeps.
    """
    device = torch.device(get_accelerator().device_name(os.environ["LOCAL_RANK"]))
    # Without a module it would leave torch's linear layers as they are, which keep weights that ZeRO-3 has let go.
    partitioned = deepspeed.zero.Init(nn.Module(), config_dict_or_path=config) if stage.zero_stage == 3 else None
    for parameter in model.parameters():
        dtype = DTYPES[stage.precision] if parameter.is_floating_point() else parameter.dtype
        # Copied even where nothing changes: workers write here what the first one sends them.
        parameter.data = parameter.data.to(device, dtype, copy=partitioned is not None)
        if partitioned:
            partitioned._convert_to_zero_parameters([parameter])
    for buffer in model.buffers():
        buffer.data = buffer.data.to(device)

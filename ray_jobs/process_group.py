"""Torch's process group of Ray Train's workers, set up by a driver that imports no torch."""

from __future__ import annotations

import os
from typing import Any

import ray
from ray.train import BackendConfig
from ray.train._internal.utils import get_address_and_port
from ray.train.backend import Backend

LEAVE_SECONDS = 10.0


class ProcessGroup(BackendConfig):
    """Torch's process group of all workers; `name` is `gloo` or `nccl`."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def backend_cls(self) -> type[Backend]:
        """What sets it up."""
        return ProcessGroupBackend


class ProcessGroupBackend(Backend):
    """Has the workers join and leave."""

    share_cuda_visible_devices = True

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Every worker joins, at an address of the first one's."""
        assert isinstance(backend_config, ProcessGroup)
        address, port = worker_group.execute_single(0, get_address_and_port)
        num = len(worker_group)
        joining = [
            worker_group.execute_single_async(rank, join, backend_config.name, rank, num, address, port)
            for rank in range(num)
        ]
        ray.get(joining)

    def on_shutdown(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Those that still answer leave."""
        leaving = worker_group.execute_async(leave)
        ray.wait(leaving, num_returns=len(leaving), timeout=LEAVE_SECONDS)


def join(backend: str, rank: int, num: int, address: str, port: int) -> None:
    """Join the process group, in the environment that torch's own launcher would set."""
    from ray.train.torch import config  # heavy: only workers need torch

    os.environ |= {"MASTER_ADDR": address, "MASTER_PORT": str(port)}
    config._set_torch_distributed_env_vars()
    config._setup_torch_process_group(backend, rank, num, "env://")


def leave() -> None:
    """Leave the process group."""
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()

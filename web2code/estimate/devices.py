"""GPUs and clusters of them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

from pydantic import Field

from web2code.config import Config, StageConfig

# In place of a GPU's name, where a recipe is to be started whatever is estimated.
UNCHECKED = "unchecked"
# CUDA's compute capability from which on a GPU multiplies bfloat16 matrices; below, frameworks emulate them.
BFLOAT16 = (8, 0)


class Gpu(Config):
    """What decides whether a stage runs on a GPU: its memory, as torch reports it, and CUDA's compute capability."""

    name: str
    memory: float = Field(description="GiB")
    capability: tuple[int, int]


class Device(Gpu):
    """A kind of GPU, with its dense peak and a price."""

    teraflops: float = Field(description="of bfloat16, or of float32 on a GPU without it")
    price: float = Field(description="US dollars an hour, roughly what clouds ask on demand: pass your own")


class Cluster(Config):
    """So many GPUs of one kind."""

    num_devices: int = Field(ge=1, le=4096)
    device: Device

    @property
    def name(self) -> str:
        """As it is written on the command line."""
        return f"{self.num_devices}x{self.device.name}"


DRIVER = ("nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits")

# Peaks from NVIDIA's data sheets, without sparsity.
DEVICES: Mapping[str, Device] = {
    device.name: device
    for device in (
        Device(name="A100-40", memory=39.4, capability=(8, 0), teraflops=312, price=1.50),
        Device(name="A100-80", memory=79.2, capability=(8, 0), teraflops=312, price=2.00),
        Device(name="H100", memory=79.2, capability=(9, 0), teraflops=989, price=3.00),
        Device(name="H200", memory=139.8, capability=(9, 0), teraflops=989, price=3.80),
        Device(name="L40S", memory=44.4, capability=(8, 9), teraflops=362, price=1.80),
        Device(name="A10G", memory=22.0, capability=(8, 6), teraflops=70, price=1.00),
        Device(name="RTX4090", memory=23.5, capability=(8, 9), teraflops=165, price=0.50),
        Device(name="B200", memory=178.3, capability=(10, 0), teraflops=2250, price=6.00),
        Device(name="L4", memory=22.0, capability=(8, 9), teraflops=121, price=0.70),
        Device(name="T4", memory=14.6, capability=(7, 5), teraflops=8.1, price=0.40),
        Device(name="V100-16", memory=15.8, capability=(7, 0), teraflops=15.7, price=1.00),
        Device(name="V100-32", memory=31.7, capability=(7, 0), teraflops=15.7, price=1.50),
    )
}


def peak_flops(name: str) -> float | None:
    """Dense bfloat16 floating-point operations a second of a GPU, by torch's name for it; None if it is not known."""
    words = name.upper().replace("RTX ", "RTX").split()
    for device in DEVICES.values():
        known = any(word.partition("-")[0] == device.name.partition("-")[0] for word in words)
        if known and device.capability >= BFLOAT16:
            return device.teraflops * 1e12
    return None


def find_gpu(name: str) -> Gpu | None:
    """A GPU by its name in `DEVICES`, or without one the largest of this machine's; None where nothing is known of it.

    Raises:
        ValueError: no such GPU.
    """
    if name == UNCHECKED:
        return None
    if name:
        return parse_cluster(f"1x{name}").device
    try:
        done = subprocess.run(DRIVER, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return max(read_gpus(done.stdout), key=lambda gpu: gpu.memory, default=None)


def read_gpus(printed: str) -> list[Gpu]:
    """What the driver prints of each GPU, `Tesla T4, 15360, 7.5`: its name, MiB and compute capability, if known."""
    found = re.findall(r"^(.+), *(\d+), *(\d+)\.(\d+) *$", printed, re.MULTILINE)
    return [
        Gpu(name=name, memory=int(memory) / 1024, capability=(int(major), int(minor)))
        for name, memory, major, minor in found
    ]


def require_precision(stage: StageConfig, name: str, capability: tuple[int, int]) -> None:
    """Nothing, where a GPU of that compute capability computes in the stage's precision itself.

    Raises:
        ValueError: the stage is in bfloat16, which the GPU called `name` can only emulate.
    """
    if stage.precision == "bf16" and capability < BFLOAT16:
        raise ValueError(
            f"{stage.name}.precision: {name} (compute capability {'.'.join(map(str, capability))}) has no bfloat16, "
            f"which begins with {'.'.join(map(str, BFLOAT16))}: set {stage.name}.precision=fp32, or take other GPUs"
        )


def parse_cluster(text: str, price: float | None = None) -> Cluster:
    """`8xH100`, or `2x8xH100` for two machines of eight; `price` replaces the table's.

    Raises:
        ValueError: no such GPU, or not so written.
    """
    match = re.fullmatch(r"((?:\d+\s*x\s*)+)(\S+)", text.strip(), re.IGNORECASE)
    if not match:
        raise ValueError(f"cluster {text!r}: write the number of GPUs and their kind, for example 8xH100")
    known = {name.lower(): device for name, device in DEVICES.items()}
    if (name := match[2].lower()) not in known:
        raise ValueError(f"cluster {text!r}: unknown GPU {match[2]!r}: choose one of {', '.join(DEVICES)}")
    num_devices = 1
    for count in re.findall(r"\d+", match[1]):
        num_devices *= int(count)
    if not 1 <= num_devices <= 4096:
        raise ValueError(f"cluster {text!r}: between 1 and 4096 GPUs can be planned for")
    device = known[name]
    return Cluster(
        num_devices=num_devices,
        device=device if price is None else Device.model_validate(device.model_dump() | {"price": price}),
    )

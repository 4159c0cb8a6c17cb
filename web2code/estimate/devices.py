"""GPUs and clusters of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import Field

from web2code.config import Config


class Device(Config):
    """A GPU: memory in GiB as torch reports it, dense bfloat16 peak, and a price."""

    name: str
    memory: float = Field(description="GiB")
    teraflops: float
    price: float = Field(description="US dollars an hour, roughly what clouds ask on demand: pass your own")


class Cluster(Config):
    """So many GPUs of one kind."""

    num_devices: int = Field(ge=1, le=4096)
    device: Device

    @property
    def name(self) -> str:
        """As it is written on the command line."""
        return f"{self.num_devices}x{self.device.name}"


# Peaks from NVIDIA's data sheets, without sparsity.
DEVICES: Mapping[str, Device] = {
    device.name: device
    for device in (
        Device(name="A100-40", memory=39.4, teraflops=312, price=1.50),
        Device(name="A100-80", memory=79.2, teraflops=312, price=2.00),
        Device(name="H100", memory=79.2, teraflops=989, price=3.00),
        Device(name="H200", memory=139.8, teraflops=989, price=3.80),
        Device(name="L40S", memory=44.4, teraflops=362, price=1.80),
        Device(name="A10G", memory=22.0, teraflops=70, price=1.00),
        Device(name="RTX4090", memory=23.5, teraflops=165, price=0.50),
        Device(name="B200", memory=178.3, teraflops=2250, price=6.00),
    )
}


def peak_flops(name: str) -> float | None:
    """Dense bfloat16 floating-point operations a second of a GPU, by torch's name for it; None if it is not known."""
    words = name.upper().replace("RTX ", "RTX").split()
    for device in DEVICES.values():
        if any(word.partition("-")[0] == device.name.partition("-")[0] for word in words):
            return device.teraflops * 1e12
    return None


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

"""How processes of Ray import what takes seconds."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from web2code.config import LoraConfig

# transformers and DeepSpeed import these where they are installed, in three seconds, for what training does not use.
UNUSED = ("sklearn", "scipy", "mlflow")
# And these, in most of another second, for adapters alone; and these, in one more, for adapters in four bits.
FOR_ADAPTERS, FOR_FOUR_BITS = ("accelerate", "peft"), ("bitsandbytes",)


def unused(lora: LoraConfig | None = None) -> tuple[str, ...]:
    """What a process that trains goes without, or one that prepares what is trained on."""
    return UNUSED + (() if lora else FOR_ADAPTERS) + (() if lora and lora.four_bit else FOR_FOUR_BITS)


@contextmanager
def loading(*unused: str) -> Iterator[None]:
    """Import modules without those that the process goes without, and without looking for garbage.

    They make a million objects, and none of them is.

    Args:
        unused: packages that are imported by others wherever they are installed; from now on they are not there.
    """
    for name in unused:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

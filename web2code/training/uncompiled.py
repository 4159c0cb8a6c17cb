"""DeepSpeed without what it would compile at every start, and no stage uses."""

from __future__ import annotations

import deepspeed
from deepspeed.runtime import compiler


def leave_uncompiled() -> None:
    """Spare workers the shared-memory operation and the compiler of Muon; to be called before there is an engine.

    The first serves inference in tensor-parallel parts alone: half a minute of C++ once, a build to look at ever after.
    The second is torch's, which every engine imports for an optimizer: a second.
    """
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    compiled = compiler.compile
    compiler.compile = lambda *args, **kwargs: lambda function: function
    try:
        from deepspeed.runtime.zero.muon import muon_optimizer  # noqa: F401
    finally:
        compiler.compile = compiled

"""What vLLM needs to serve a checkpoint of this project: its export, and the environment that vLLM is installed in."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from web2code.config import EngineConfig, digest_tree
from web2code.modelling.base import PROMPTING, load_template
from web2code.modelling.export import export_checkpoint

# Where another environment's interpreter with vLLM is, if not where `make vllm` puts it.
PYTHON_VARIABLE = "WEB2CODE_VLLM_PYTHON"
GIGABYTES_OF_CACHE = 4


def vllm_python() -> str:
    """The interpreter that has vLLM.

    Raises:
        ValueError: there is none.
    """
    path = Path(os.environ.get(PYTHON_VARIABLE) or Path(sys.prefix) / "vllm" / "bin" / "python")
    if not path.exists():
        raise ValueError(
            f"{path} is not there: run `make vllm`, or let {PYTHON_VARIABLE} name a Python that has vLLM and this Ray"
        )
    return str(path)


def vllm_variables(gpus: float) -> dict[str, str]:
    """Environment variables of a process that runs vLLM offline on this machine."""
    variables = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    if not gpus:
        variables |= {"VLLM_CPU_KVCACHE_SPACE": str(GIGABYTES_OF_CACHE), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    return variables


def vllm_arguments(engine: EngineConfig, home: Path, gpus: float) -> dict[str, Any]:
    """The arguments of `VllmEngine`; a checkpoint of this project is exported first, once."""
    folder, arguments = Path(engine.model), dict[str, Any](model=engine.model, dtype=engine.dtype)
    if (folder / PROMPTING).exists():
        exported = home / "artifacts" / "exported" / digest_tree(folder)
        export_checkpoint(folder, exported)
        arguments |= {"model": str(exported), "stop": load_template(folder).stop_strings}
    if engine.revision:
        arguments |= {"revision": engine.revision, "tokenizer_revision": engine.revision}
    if engine.max_length:
        arguments["max_model_len"] = engine.max_length
    if not gpus:
        arguments |= {"enforce_eager": True}
        arguments["dtype"] = "float32" if engine.dtype == "auto" else engine.dtype
    elif gpus > 1:
        arguments["tensor_parallel_size"] = int(gpus)
    return arguments

"""The command `web2code export`: a trained checkpoint as a folder that vLLM and transformers serve."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from web2code.config import WeightsType
from web2code.mistakes import fail

console = Console()
SERVER = "vllm.entrypoints.openai.api_server"


def export(
    model: Annotated[Path, typer.Argument(help="Folder of a checkpoint, e.g. a stage's `model`.")],
    out: Annotated[Path, typer.Argument(help="Folder to write: new or empty, or holding this very export.")],
    dtype: Annotated[
        WeightsType,
        typer.Option(help="Precision of the weights; auto keeps that of the checkpoint."),
    ] = "auto",
) -> None:
    """Write a trained checkpoint in the layout of the published LLaVA models, for vLLM and transformers.

    Killed, the same command goes on; run again, it finds that nothing is to be done.
    """
    try:
        from web2code.evaluation.engines.serving import vllm_python  # both import torch, in some seconds
        from web2code.modelling.export import export_checkpoint

        export_checkpoint(model, out, dtype)
    except ValueError as error:
        fail(error)
    try:
        served = f"serve it with: {shlex.join([vllm_python(), '-m', SERVER, '--model', str(out)])}"
    except ValueError as error:
        served = f"nothing here serves it yet: {error}"
    console.print(served, markup=False, soft_wrap=True, highlight=False)

"""The command `web2code export`: a trained checkpoint as a folder that vLLM and transformers serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from web2code.config import WeightsType
from web2code.mistakes import fail

console = Console()
SERVER = "python -m vllm.entrypoints.openai.api_server"


def export(
    model: Annotated[Path, typer.Argument(help="Folder of a checkpoint, e.g. a stage's `model`.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; it must not be there yet.")],
    dtype: Annotated[
        WeightsType,
        typer.Option(help="Precision of the weights; auto keeps that of the checkpoint."),
    ] = "auto",
) -> None:
    """Write a trained checkpoint in the layout of the published LLaVA models, for vLLM and transformers.

    Killed, the same command goes on; run again, it finds that nothing is to be done.
    """
    try:
        from web2code.modelling.export import export_checkpoint  # imports torch, in some seconds

        export_checkpoint(model, out, dtype)
    except ValueError as error:
        fail(error)
    console.print(f"serve it with: {SERVER} --model {out}", soft_wrap=True, highlight=False)

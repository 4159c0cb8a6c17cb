"""The command `web2code import`: a published checkpoint of LLaVA's own code as one of this project."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from web2code.config import TemplateName
from web2code.hub import fetch
from web2code.mistakes import fail

console = Console()
FILES = ["*.json", "*.safetensors", "*.bin", "*.model", "*.txt"]


def import_(
    source: Annotated[
        str,
        typer.Argument(help="Folder, or name on the hub, with @BRANCH if need be: LLM360/CrystalChat-7B-Web2Code."),
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write; it must not be there yet.")],
    template: Annotated[TemplateName, typer.Option(help="How the model is prompted.")] = "vicuna_v1",
    tokenizer: Annotated[str, typer.Option(help="Name or folder, where the checkpoint has none of its own.")] = "",
    vision_tower: Annotated[str, typer.Option(help="Name or folder, in place of the one that it names.")] = "",
) -> None:
    """Rewrite a published checkpoint of LLaVA's own code, pickled or not, as safetensors that this project reads.

    CrystalChat-7B-Web2Code, LLaVA-1.5 and what was trained like them; it is then a MODEL of `web2code evaluate`.
    """
    try:
        folder = Path(source) if Path(source).is_dir() else fetch(source, FILES)
        from web2code.modelling.llava_layout import import_checkpoint  # imports torch, in some seconds
        from web2code.modelling.templates import TEMPLATES

        import_checkpoint(folder, out, TEMPLATES[template], tokenizer, vision_tower)
    except ValueError as error:
        fail(error)
    command = shlex.join(["web2code", "evaluate", str(out), "--benchmarks", "wcgb,wub"])
    console.print(f"evaluate it with: {command}", markup=False, soft_wrap=True, highlight=False)

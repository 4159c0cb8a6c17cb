"""timm's ConvNeXt weights under transformers' names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")

OPEN_CLIP = "visual.trunk."
# The rest of the head projects into CLIP's joint space, or classifies.
HEAD = re.compile(r"head\.(?!norm\.).*")

NAMES = {
    re.compile(pattern): name
    for pattern, name in {
        r"stem\.0\.(weight|bias)": r"embeddings.patch_embeddings.\1",
        r"stem\.1\.(weight|bias)": r"embeddings.layernorm.\1",
        r"stages\.(\d+)\.downsample\.([01])\.(weight|bias)": r"encoder.stages.\1.downsampling_layer.\2.\3",
        r"stages\.(\d+)\.blocks\.(\d+)\.conv_dw\.(weight|bias)": r"encoder.stages.\1.layers.\2.dwconv.\3",
        r"stages\.(\d+)\.blocks\.(\d+)\.norm\.(weight|bias)": r"encoder.stages.\1.layers.\2.layernorm.\3",
        r"stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc([12])\.(weight|bias)": r"encoder.stages.\1.layers.\2.pwconv\3.\4",
        r"stages\.(\d+)\.blocks\.(\d+)\.gamma": r"encoder.stages.\1.layers.\2.layer_scale_parameter",
        r"head\.norm\.(weight|bias)": r"layernorm.\1",
    }.items()
}


def from_timm(weights: Mapping[str, Value]) -> dict[str, Value]:
    """The state of a `ConvNextModel` from that of timm's `ConvNeXt`, or from a whole OpenCLIP model that has one.

    OpenCLIP keeps timm's names under `visual.trunk.`; its text tower is left out, and so is any head.

    Raises:
        ValueError: a name is none of a ConvNeXt with layer scale, such as ConvNeXt V2's response normalisation.
    """
    if any(name.startswith(OPEN_CLIP) for name in weights):
        weights = {name.removeprefix(OPEN_CLIP): weights[name] for name in weights if name.startswith(OPEN_CLIP)}
    return {_rename(name): value for name, value in weights.items() if not HEAD.fullmatch(name)}


def _rename(name: str) -> str:
    for pattern, replacement in NAMES.items():
        if match := pattern.fullmatch(name):
            return match.expand(replacement)
    raise ValueError(
        f"the parameter {name} is not of a timm ConvNeXt; give the weights of a ConvNeXt (version 1) model"
    )

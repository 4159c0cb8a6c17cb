"""Weights as they were published, pickled or not, rewritten as safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

# In the order in which they are looked for.
WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def shards_of(folder: Path) -> list[Path]:
    """The files that hold a checkpoint's weights.

    Raises:
        ValueError: there are none, or one of them is missing.
    """
    for name in WEIGHTS:
        index = folder / f"{name}.index.json"
        if not index.exists() and not (folder / name).exists():
            continue
        names = sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.exists() else [name]
        if missing := [name for name in names if not (folder / name).exists()]:
            raise ValueError(f"{folder} has no {', '.join(missing)}: download the whole checkpoint")
        return [folder / name for name in names]
    raise ValueError(f"{folder} has no {' and no '.join(reversed(WEIGHTS))}: download the whole checkpoint")


def read_shards(folder: Path) -> Iterator[Mapping[str, torch.Tensor]]:
    """A checkpoint's weights, file by file, mapped into memory; no pickled code is run.

    Raises:
        ValueError: as `shards_of`.
    """
    for shard in shards_of(folder):
        if shard.suffix == ".safetensors":
            yield load_file(shard)
        else:
            yield torch.load(shard, map_location="cpu", mmap=True, weights_only=True)


def rewrite_weights(source: Path, out: Path, wanted: Callable[[str], bool]) -> None:
    """Write those weights whose names are wanted, under their names and in their types, into as many files.

    The index is written last: without it the folder is not complete.

    Raises:
        ValueError: as `shards_of`.
    """
    out.mkdir(parents=True, exist_ok=True)
    shards = len(shards_of(source))
    weight_map: dict[str, str] = {}
    total_size = 0
    for number, weights in enumerate(read_shards(source), 1):
        tensors = {name: tensor.contiguous() for name, tensor in weights.items() if wanted(name)}
        file = f"model-{number:05}-of-{shards:05}.safetensors"
        save_file(tensors, out / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file)
        total_size += sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total_size}, "weight_map": weight_map}
    (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))

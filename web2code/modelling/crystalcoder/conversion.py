"""Published checkpoints, which are pickled, rewritten as safetensors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer

from web2code.modelling.crystalcoder.configuration import CrystalCoderConfig

WEIGHTS = "pytorch_model.bin"
# Published among the weights, computed by this code.
BUFFER = re.compile(r"\.attn\.(masked_)?bias$")


def convert_checkpoint(source_folder: Path, out_folder: Path) -> None:
    """Write the weights of a downloaded CrystalCoder checkpoint as safetensors, with its configuration and tokenizer.

    Shards are mapped into memory and written one by one; no pickled code is run. Weights keep their names and type; a
    tied output layer is not written a second time. The index is written last: without it the folder is not complete.

    Raises:
        ValueError: the source folder lacks its weights or one of their shards.
    """
    config = CrystalCoderConfig.from_pretrained(source_folder)
    shards = _shards(source_folder)
    out_folder.mkdir(parents=True, exist_ok=True)
    weight_map: dict[str, str] = {}
    total_size = 0
    for number, shard in enumerate(shards, 1):
        tensors = {
            name: tensor.contiguous()
            for name, tensor in torch.load(shard, map_location="cpu", mmap=True, weights_only=True).items()
            if not BUFFER.search(name) and not (name == "lm_head.weight" and config.tie_word_embeddings)
        }
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(tensors, out_folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file)
        total_size += sum(tensor.nbytes for tensor in tensors.values())
    tokenizer = AutoTokenizer.from_pretrained(source_folder, trust_remote_code=False)
    # Both name the Python files that the checkpoint was published with.
    tokenizer.init_kwargs.pop("auto_map", None)
    vars(config).pop("auto_map", None)
    tokenizer.save_pretrained(out_folder)
    config.save_pretrained(out_folder)
    index = {"metadata": {"total_size": total_size}, "weight_map": weight_map}
    (out_folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))


def _shards(folder: Path) -> list[Path]:
    index = folder / f"{WEIGHTS}.index.json"
    names = sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.exists() else [WEIGHTS]
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise ValueError(f"{folder} has no {', '.join(missing)}: download the whole checkpoint")
    return [folder / name for name in names]

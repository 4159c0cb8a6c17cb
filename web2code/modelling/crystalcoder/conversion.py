"""Published checkpoints, which are pickled, rewritten as safetensors."""

from __future__ import annotations

import re
from pathlib import Path

from transformers import AutoTokenizer

from web2code.modelling.crystalcoder.configuration import CrystalCoderConfig
from web2code.modelling.published_weights import rewrite_weights, shards_of

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
    shards_of(source_folder)
    out_folder.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(source_folder, trust_remote_code=False)
    # Both name the Python files that the checkpoint was published with.
    tokenizer.init_kwargs.pop("auto_map", None)
    vars(config).pop("auto_map", None)
    tokenizer.save_pretrained(out_folder)
    config.save_pretrained(out_folder)
    tied = config.tie_word_embeddings
    rewrite_weights(
        source_folder, out_folder, lambda name: not BUFFER.search(name) and not (tied and name == "lm_head.weight")
    )

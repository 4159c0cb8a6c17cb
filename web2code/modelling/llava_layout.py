"""Checkpoints that LLaVA's own code saved, CrystalChat-7B-Web2Code among them, rewritten as this project's."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlavaForConditionalGeneration,
    MistralConfig,
    PreTrainedConfig,
)

from web2code.config import PretrainedModelConfig
from web2code.modelling.backbones import VISION_TOWERS
from web2code.modelling.base import save_checkpoint
from web2code.modelling.crystalcoder import CrystalCoderConfig
from web2code.modelling.llava import assemble
from web2code.modelling.published_weights import read_shards, rewrite_weights, shards_of
from web2code.modelling.templates import Template

# By a part of the architecture's name: LlavaCrystalForCausalLM, LlavaMistralForCausalLM, LlavaLlamaForCausalLM.
LANGUAGE_MODELS: dict[str, type[PreTrainedConfig]] = {
    "Crystal": CrystalCoderConfig, "Mistral": MistralConfig, "Llama": LlamaConfig,
}  # fmt: skip
# By LLaVA's name, the layers by theirs and ours.
PROJECTORS: dict[str, dict[str, str]] = {
    "linear": {"": "linear_1"},
    "mlp2x_gelu": {"0.": "linear_1", "2.": "linear_2"},
}
PROJECTOR, TOWER = ".mm_projector.", ".vision_tower.vision_tower."
# What old versions of transformers saved and today's compute.
COMPUTED = ("rotary_emb.inv_freq", "embeddings.position_ids")
# CrystalCoder's masks, published among the weights.
BUFFER = re.compile(r"\.attn\.(masked_)?bias$")
TOKENIZER = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip


def import_checkpoint(source: Path, out: Path, template: Template, tokenizer: str = "", vision_tower: str = "") -> None:
    """Write a checkpoint in the layout of LLaVA's own code as one that this project evaluates and exports.

    `out` is there when it is complete and not before. No pickled code is run. Source of the layout: haotian-liu/LLaVA,
    `llava/model/llava_arch.py`; of CrystalChat's, MBZUAI-LLM/web2code.

    Args:
        source: folder of a checkpoint whose `config.json` names its `mm_vision_tower`.
        template: how it is prompted, which such checkpoints do not say.
        tokenizer: name on the hub or folder; empty means the checkpoint's own.
        vision_tower: the same of a tower that is not saved with it; empty means what the checkpoint names.

    Raises:
        ValueError: it is no such checkpoint, it is of a variant that this project does not have, or `out` is there.
    """
    if out.exists():
        raise ValueError(f"{out} is there already: name a folder that is not")
    published = _configuration(source)
    language, made = (out.with_name(f".{out.name}.{part}.unfinished") for part in ("language", "model"))
    for folder in (language, made):
        shutil.rmtree(folder, ignore_errors=True)
    _write_language_model(source, language, published, tokenizer)
    dtype = next(tensor.dtype for weights in read_shards(language) for tensor in weights.values())
    model = PretrainedModelConfig(
        language_model=str(language),
        vision_tower=_tower(vision_tower or published["mm_vision_tower"]),
        projector=_projector(published),
        vision_feature_layer=published.get("mm_vision_select_layer", -2),
        vision_feature_select=_features(published),
        max_length=published.get("tokenizer_model_max_length") or 2048,
    )
    assembled = assemble(model, dtype, seed=0)
    assert isinstance(assembled.model, LlavaForConditionalGeneration)
    _load_projector_and_tower(source, assembled.model, model.projector)
    save_checkpoint(made, assembled.model, assembled.tokenizer, template)
    shutil.rmtree(language)
    os.replace(made, out)


def _configuration(source: Path) -> dict[str, Any]:
    """The published `config.json`, where this project has all that it asks for."""
    path = source / "config.json"
    if not path.exists():
        raise ValueError(f"{source} has no config.json: name the folder of a whole checkpoint")
    published = json.loads(path.read_text())
    if "mm_vision_tower" not in published:
        raise ValueError(
            f"{path} names no mm_vision_tower: only checkpoints of LLaVA's own code are imported, others are used as "
            "they are"
        )
    if published.get("mm_use_im_start_end"):
        raise ValueError(f"{path}: pictures between start and end tokens (mm_use_im_start_end) are not supported")
    if "anyres" in str(published.get("image_aspect_ratio")):
        raise ValueError(f"{path}: pictures in tiles (anyres) are LLaVA-NeXT's: use llava-hf's version of this model")
    if (source / "adapter_config.json").exists():
        raise ValueError(f"{source} holds adapters alone: merge them into their base model first")
    shards_of(source)
    return published


def _write_language_model(source: Path, folder: Path, published: dict[str, Any], tokenizer: str) -> None:
    """The language model and its tokenizer alone, as a folder that transformers reads."""
    [architecture] = published.get("architectures") or [""]
    kind = next((kind for part, kind in LANGUAGE_MODELS.items() if part in architecture), None)
    if kind is None:
        raise ValueError(
            f"{source / 'config.json'}: no language model is known for {architecture or 'no architecture'}: it must be "
            f"one of {', '.join(LANGUAGE_MODELS)}"
        )
    config = kind(**{
        name: value
        for name, value in published.items()
        if not name.startswith(("mm_", "tune_mm_", "auto_map", "model_type", "architectures", "transformers_version"))
    })  # fmt: skip
    config.save_pretrained(folder)
    rewrite_weights(source, folder, lambda name: _is_language(name, bool(config.tie_word_embeddings)))
    if not tokenizer:  # read beside the configuration of its own language model: transformers knows no other
        for name in TOKENIZER:
            if (source / name).exists():
                shutil.copy(source / name, folder)
    try:
        reader = AutoTokenizer.from_pretrained(tokenizer or folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"no tokenizer in {tokenizer or source} ({reason}): name one with --tokenizer") from None
    reader.init_kwargs.pop("auto_map", None)
    reader.save_pretrained(folder)


def _is_language(name: str, tied: bool) -> bool:
    if PROJECTOR in name or TOWER in name or name.endswith(COMPUTED) or BUFFER.search(name):
        return False
    return not (tied and name == "lm_head.weight")


def _tower(name: str) -> str:
    """A tower by the name in the table of backbones where it is there, whose commit is pinned."""
    return next((known for known, tower in VISION_TOWERS.items() if tower.hub == name and not tower.slow_hub), name)


def _projector(published: dict[str, Any]) -> Literal["linear", "mlp2x_gelu"]:
    match published.get("mm_projector_type", "linear"):
        case "linear":
            return "linear"
        case "mlp2x_gelu":
            return "mlp2x_gelu"
        case other:
            raise ValueError(f"mm_projector_type: no projector {other!r} is known: {', '.join(PROJECTORS)} are")


def _features(published: dict[str, Any]) -> Literal["default", "full"]:
    return "full" if published.get("mm_vision_select_feature", "patch") == "cls_patch" else "default"


def _load_projector_and_tower(source: Path, model: LlavaForConditionalGeneration, projector: str) -> None:
    """Put what is not the language model's into its place; a tower that was frozen may not be there."""
    towers, projectors = dict[str, torch.Tensor](), dict[str, torch.Tensor]()
    for weights in read_shards(source):
        for name, tensor in weights.items():
            if PROJECTOR in name:
                projectors[_ours(name.partition(PROJECTOR)[2], projector)] = tensor
            elif TOWER in name and not name.endswith(COMPUTED):
                towers[name.partition(TOWER)[2].removeprefix("vision_model.")] = tensor
    try:
        model.model.multi_modal_projector.load_state_dict(projectors)
        if towers:
            model.model.vision_tower.load_state_dict(towers)
    except RuntimeError as error:
        raise ValueError(f"{source}: {' '.join(str(error).split())[:300]}") from None


def _ours(name: str, projector: str) -> str:
    for theirs, ours in PROJECTORS[projector].items():
        if name.startswith(theirs):
            return f"{ours}.{name.removeprefix(theirs)}"
    return name

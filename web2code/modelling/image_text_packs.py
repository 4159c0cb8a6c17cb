"""Samples of an image-text-to-text model in one sequence: what the model is told, so that each is seen as by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedConfig, PreTrainedModel

from web2code.modelling.attention import VARLEN

if TYPE_CHECKING:
    from web2code.config import StageConfig

# By model type, the attention that keeps packed samples apart; Gemma 3 has the positions of an image see each other.
PACKED = {
    "gemma3": ("sdpa",),
    **dict.fromkeys(("idefics3", "llava_next", "qwen2_5_vl", "qwen3_vl", "smolvlm"), (VARLEN, "sdpa")),
}
# What tells of the sequence and not of its pictures.
OF_SEQUENCE = ("input_ids", "position_ids", "cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")


def require_packs(name: str, config: PreTrainedConfig, stage: StageConfig) -> None:
    """Nothing, where a stage pads its samples to rows, or where the model is known to keep those of a pack apart.

    Raises:
        ValueError: it is not, with what to set.
    """
    about = f"model.name: {name} ({config.model_type})"
    attentions = PACKED.get(config.model_type, ())
    if stage.pack_tokens and not attentions:
        raise ValueError(
            f"{about} is not known to keep samples in one sequence apart, as {', '.join(PACKED)} are: "
            f"add --set {stage.name}.pack_tokens=0"
        )
    if stage.pack_tokens and stage.attention not in attentions:
        raise ValueError(
            f"{about} does not keep samples in one sequence apart with {stage.attention} attention: "
            f"add --set {stage.name}.attention={attentions[0]}"
        )


def packed_inputs(model: PreTrainedModel, inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs with features in place of pictures, whose towers have samples' bounds of their own.

    A model that gives image tokens rows and columns (mRoPE) is told them besides, of each sample as of a row.

    Args:
        model: the one without an output layer.
        inputs: as `web2code.training.batches` packs them, `input_ids` (1, length); the pictures' by the names that the
            processor has for them, and what it tells of every position, (1, length).
    """
    told = {name: value for name, value in inputs.items() if name in OF_SEQUENCE}
    types = {name: value for name, value in inputs.items() if name.endswith("token_type_ids")}
    pictures = {name: value for name, value in inputs.items() if name not in told and name not in types}
    images = model.get_image_features(**pictures, return_dict=True)
    if hasattr(model, "get_rope_index"):
        told["position_ids"] = _grid_positions(model, told, types, pictures)
        types = {}
    return told | types | {"mm_encoder_outputs": {"image": images}}


def _grid_positions(
    model: PreTrainedModel, told: dict[str, Any], types: dict[str, Any], pictures: dict[str, Any]
) -> torch.Tensor:
    """Places in the sample, and by time, row and column: (4, 1, length)."""
    lengths = told["cu_seq_lens_q"].diff().tolist()
    rows = {
        name: pad_sequence(value[0].split(lengths), batch_first=True)
        for name, value in {"input_ids": told["input_ids"], **types}.items()
    }
    is_token = pad_sequence([torch.ones(length, dtype=torch.long) for length in lengths], batch_first=True)
    is_token = is_token.to(told["input_ids"].device)
    grids = {name: value for name, value in pictures.items() if name.endswith("grid_thw")}
    grid, _ = model.get_rope_index(**rows, **grids, attention_mask=is_token)
    return torch.cat([told["position_ids"], grid[:, is_token.bool()]])[:, None]

"""Attention over several samples in one sequence, each kept apart: registered with transformers as `varlen`.

The samples' bounds come as `cu_seq_lens_q`, as transformers' flash attention takes them; without them it is `sdpa`.
Where that one masks the square of the whole sequence, this one computes each sample's own triangle.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

VARLEN = "varlen"
# Stands for the mask of a packed sequence, whose numbers are the square of its length.
PACKED = torch.empty(0)


def varlen_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each sample.

    `query` is (1, heads, length, width), `key` and `value` may have fewer heads; `cu_seq_lens_q` is int32 of shape
    (num_samples + 1,). A token attends to the last `sliding_window` tokens, itself among them. Returns (1, length,
    heads, width).
    """
    if cu_seq_lens_q is None:
        assert attention_mask is not PACKED, "positions start again, but cu_seq_lens_q does not say where"
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    assert query.shape[0] == 1, "samples are packed into one sequence"
    assert dropout == 0.0, "attention dropout is not supported"
    grouped = query.shape[1] != key.shape[1]
    if query.is_cuda and _has_kernel(query):
        from torch.nn.attention.varlen import varlen_attn  # for CUDA alone

        flat = (states[0].transpose(0, 1).contiguous() for states in (query, key, value))
        bounds = (cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q)
        window = (-1 if sliding_window is None else sliding_window - 1, 0)
        # Not every torch that has the kernel knows the option.
        sharing = {"enable_gqa": True} if grouped else {}
        packed = varlen_attn(*flat, *bounds, scale=scaling, window_size=window, **sharing)
        return packed[None], None
    samples = zip(*(states.split(cu_seq_lens_q.diff().tolist(), dim=2) for states in (query, key, value)), strict=True)
    outputs = [
        scaled_dot_product_attention(q, k, v, **_causal(q, sliding_window), scale=scaling, enable_gqa=grouped)
        for q, k, v in samples
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2), None


def _causal(query: torch.Tensor, sliding_window: int | None) -> dict[str, Any]:
    """What keeps the tokens of a sample, (1, heads, length, width), from those after them and before their window."""
    length = query.shape[2]
    if sliding_window is None or sliding_window >= length:
        return {"is_causal": True}
    square = torch.ones(length, length, dtype=torch.bool, device=query.device)
    return {"attn_mask": square.tril().triu(1 - sliding_window)}


def _has_kernel(query: torch.Tensor) -> bool:
    """Whether torch's kernel for samples in one sequence takes such states: half precision, on Ampere or later."""
    return query.dtype != torch.float32 and torch.cuda.get_device_capability(query.device) >= (8, 0)


def register_varlen() -> None:
    """Make `varlen` a value of `attn_implementation`; a sequence that is not packed is masked as for `sdpa`."""
    AttentionInterface.register(VARLEN, varlen_attention)
    AttentionMaskInterface.register(VARLEN, _mask)


def _mask(
    *sizes: int, attention_mask: torch.Tensor | None = None, allow_is_causal_skip: bool = True, **kwargs: Any
) -> torch.Tensor | None:
    if attention_mask is None and not allow_is_causal_skip:
        return PACKED
    return sdpa_mask(*sizes, attention_mask=attention_mask, allow_is_causal_skip=allow_is_causal_skip, **kwargs)

"""The training loss, computed at the learned positions only."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from transformers import LlavaForConditionalGeneration

from web2code.modelling.prompts import IGNORED


class AnswerLoss(nn.Module):
    """Sum of the answer tokens' cross entropy, divided by a given number of tokens.

    Only positions whose next token is learned reach the output layer, so that no full logits tensor is made. Dividing
    by the tokens of the global batch, not of the micro batch, makes the gradient independent of how samples are spread.
    """

    def __init__(self, llava: LlavaForConditionalGeneration) -> None:
        super().__init__()
        self.llava = llava

    def forward(
        self, input_ids: torch.Tensor, labels: torch.Tensor, pixel_values: torch.Tensor, num_tokens: float
    ) -> torch.Tensor:
        # Right padding needs no mask: nothing that is learned comes after it.
        hidden = self.llava.model(input_ids=input_ids, pixel_values=pixel_values, use_cache=False).last_hidden_state
        targets = labels[:, 1:]
        learned = targets != IGNORED
        logits = self.llava.lm_head(hidden[:, :-1][learned])
        return functional.cross_entropy(logits.float(), targets[learned], reduction="sum") / num_tokens

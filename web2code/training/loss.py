"""The training loss, computed at the learned positions only."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import LlavaForConditionalGeneration

from web2code.modelling.prompts import IGNORED

# Learned positions whose logits are held at once: 0.5 GB for a vocabulary of 32,000 in float32.
CHUNK = 4096


class AnswerLoss(nn.Module):
    """Sum of the answer tokens' cross entropy, divided by a given number of tokens.

    Only positions whose next token is learned reach the output layer, so that no full logits tensor is made. Dividing
    by the tokens of the global batch, not of the micro batch, makes the gradient independent of how samples are spread.
    """

    def __init__(self, llava: LlavaForConditionalGeneration) -> None:
        super().__init__()
        self.llava = llava

    def forward(self, labels: torch.Tensor, num_tokens: float, **inputs: torch.Tensor | int) -> torch.Tensor:
        """The loss of a micro batch; `inputs` are what the model takes. Padding is at the right and needs no mask:
        nothing that is learned comes after it. A cache would have transformers mix the samples of a pack.
        """
        hidden = self.llava.model(**inputs, use_cache=False).last_hidden_state
        targets = labels[:, 1:]
        learned = targets != IGNORED
        return self._cross_entropy(hidden[:, :-1][learned], targets[learned]) / num_tokens

    def _cross_entropy(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if len(targets) <= CHUNK:
            return self._chunk(hidden, targets)
        # Each chunk's logits are made again in the backward pass, and never all of them at once.
        chunks = zip(hidden.split(CHUNK), targets.split(CHUNK), strict=True)
        return torch.stack([checkpoint(self._chunk, *chunk, use_reentrant=False) for chunk in chunks]).sum()

    def _chunk(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(self.llava.lm_head(hidden).float(), targets, reduction="sum")

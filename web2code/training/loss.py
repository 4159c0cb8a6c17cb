"""The training loss, computed at the learned positions only."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from web2code.modelling.image_text_packs import packed_inputs
from web2code.modelling.samples import IGNORED

# Learned positions whose logits are held at once: 0.5 GB for a vocabulary of 32,000 in float32.
CHUNK = 4096


class AnswerLoss(nn.Module):
    """Sum of the answer tokens' cross entropy, divided by a given number of tokens.

    Only positions whose next token is learned reach the output layer, so that no full logits tensor is made. Dividing
    by the tokens of the global batch, not of the micro batch, makes the gradient independent of how samples are spread.
    `token_losses` are those of the last forward pass, one of each learned token, without a gradient.
    """

    def __init__(self, llava: PreTrainedModel) -> None:
        super().__init__()
        self.llava = llava
        self.token_losses = torch.empty(0)

    def forward(self, labels: torch.Tensor, num_tokens: float, **inputs: torch.Tensor | int) -> torch.Tensor:
        """The loss of a micro batch; `inputs` are what the model takes besides.

        Padding is at the right and needs no mask: nothing that is learned comes after it. A cache would have
        transformers mix the samples of a pack. Of LLaVA's pictures only the first `num_images` are shown; one more may
        stand in.
        """
        if "num_images" in inputs:
            inputs = self._shown(**inputs)
        elif "cu_seq_lens_q" in inputs:
            inputs = packed_inputs(self.llava.model, inputs)
        hidden = self.llava.model(**inputs, use_cache=False).last_hidden_state
        targets = labels[:, 1:]
        learned = targets != IGNORED
        loss, self.token_losses = self.cross_entropy(hidden[:, :-1][learned], targets[learned])
        return loss / num_tokens

    def _shown(
        self, input_ids: torch.Tensor, pixel_values: torch.Tensor, num_images: int, **inputs: Any
    ) -> dict[str, Any]:
        """The inputs with embeddings of the tokens, those of image tokens being features of the pictures.

        ValueError where there are not as many features as image tokens.
        """
        model = self.llava.model
        features = self._features(pixel_values)[:num_images].flatten(0, 1)
        embeddings = model.get_input_embeddings()(input_ids)
        features = features.to(embeddings.dtype)
        places = model.get_placeholder_mask(input_ids, inputs_embeds=embeddings, image_features=features)
        return {**inputs, "inputs_embeds": embeddings.masked_scatter(places, features)}

    def _features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(num_images, image tokens, width). Without a picture the projector still gets its zero gradient."""
        model = self.llava.model
        if len(pixel_values):
            return torch.stack(model.get_image_features(pixel_values, return_dict=True).pooler_output)
        width = model.multi_modal_projector.linear_1.in_features
        weight = model.multi_modal_projector.linear_1.weight
        return model.multi_modal_projector(torch.empty(0, 1, width, dtype=weight.dtype, device=weight.device))

    def cross_entropy(self, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of last hidden states (tokens, width) the sum, and without a gradient each token's."""
        if len(targets) <= CHUNK:
            return self._chunk(hidden, targets)
        # Each chunk's logits are made again in the backward pass, and never all of them at once.
        chunks = zip(hidden.split(CHUNK), targets.split(CHUNK), strict=True)
        sums, losses = zip(*(checkpoint(self._chunk, *chunk, use_reentrant=False) for chunk in chunks), strict=True)
        return torch.stack(sums).sum(), torch.cat(losses)

    def _chunk(self, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # The two halves of cross_entropy(reduction="sum"), to the last bit: between them stands what each token adds.
        log_probabilities = functional.log_softmax(self.llava.lm_head(hidden).float(), dim=-1)
        losses = -log_probabilities.detach().gather(1, targets[:, None])[:, 0]
        return functional.nll_loss(log_probabilities, targets, reduction="sum"), losses

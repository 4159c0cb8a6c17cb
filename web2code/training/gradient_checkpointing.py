"""Layers that keep their input alone and are computed again in the backward pass."""

from __future__ import annotations

from transformers import PreTrainedModel


def checkpoint_layers(model: PreTrainedModel) -> None:
    """Have every layer do so in training; where nothing before it is trained, a frozen layer keeps nothing.

    transformers has the outputs of all embeddings require gradients, which only reentrant checkpointing needs: the
    backward pass would go through a frozen tower as well.
    """
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.disable_input_require_grads()

"""Layers that keep their input alone and are computed again in the backward pass."""

from __future__ import annotations

from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer


def checkpoint_layers(model: PreTrainedModel, share: float = 1.0) -> None:
    """Have that share of the layers, spread evenly, do so in training.

    Where nothing before it is trained, a frozen layer keeps nothing. transformers has the outputs of all embeddings
    require gradients, which only reentrant checkpointing needs: the backward pass would go through a frozen tower as
    well.
    """
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.disable_input_require_grads()
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    for number, layer in enumerate(layers):
        layer.gradient_checkpointing = int((number + 1) * share) > int(number * share)

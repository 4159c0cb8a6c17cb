"""A small encoder of CLIP's kind, whose weights are the same on every machine."""

import numpy as np
import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from web2code.evaluation.design2code.clip import ClipEncoder


def small_encoder():
    config = CLIPVisionConfig(
        image_size=64, patch_size=16, hidden_size=64, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        projection_dim=16,
    )  # fmt: skip
    model, random = CLIPVisionModelWithProjection(config), np.random.RandomState(0)
    weights = dict(sorted(model.named_parameters()))
    model.load_state_dict({name: torch.tensor(random.normal(0, 0.3, weight.shape)) for name, weight in weights.items()})
    return ClipEncoder(model)

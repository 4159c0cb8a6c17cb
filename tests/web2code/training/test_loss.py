import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlavaForConditionalGeneration, LlavaModel

from web2code.training.batches import collate
from web2code.training.loss import AnswerLoss
from web2code.training.trainable import set_trainable


@pytest.fixture(scope="module")
def model(prepared):
    return LlavaForConditionalGeneration.from_pretrained(prepared / "base", dtype=torch.float32)


@pytest.fixture(scope="module")
def pad(prepared):
    return AutoTokenizer.from_pretrained(prepared / "base").pad_token_id


def test_it_equals_the_loss_of_transformers(model, arrays, pad):
    batch = collate(arrays, np.arange(6), pad, torch.float32)
    pictures = {"pixel_values": batch["pixel_values"]}
    reference = model(input_ids=batch["input_ids"], labels=batch["labels"], **pictures, use_cache=False).loss
    tokens = float(arrays.label_counts[:6].sum())
    assert AnswerLoss(model)(**batch, num_tokens=tokens).item() == pytest.approx(reference.item(), rel=1e-5)


def test_pictures_reach_a_model_whose_forward_pass_takes_no_features(model, arrays, pad, monkeypatch):
    """It is as in transformers 5.17, which passes over what it does not know."""
    forward = LlavaModel.forward
    monkeypatch.setattr(LlavaModel, "forward", lambda self, mm_encoder_outputs=None, **inputs: forward(self, **inputs))
    model.zero_grad()
    AnswerLoss(model)(**collate(arrays, np.arange(6), pad, torch.float32), num_tokens=1.0).backward()
    assert model.model.multi_modal_projector.linear_1.weight.grad.abs().sum() > 0


def test_image_tokens_without_their_picture_are_refused(model, arrays, pad):
    batch = collate(arrays, np.arange(6), pad, torch.float32)
    with pytest.raises(ValueError, match="do not match"):
        AnswerLoss(model)(**batch | {"num_images": batch["num_images"] - 1}, num_tokens=1.0)


def test_the_gradient_does_not_depend_on_the_split_into_micro_batches(model, arrays, pad):
    indices = np.arange(8)
    tokens = float(arrays.label_counts[indices].sum())
    gradients = []
    for parts in (1, 4):
        model.zero_grad()
        for part in np.split(indices, parts):
            AnswerLoss(model)(**collate(arrays, part, pad, torch.float32), num_tokens=tokens).backward()
        gradients.append(model.model.multi_modal_projector.linear_1.weight.grad.clone())
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-7)


def test_only_the_named_modules_are_trained(model):
    count = set_trainable(model, ("projector",))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("multi_modal_projector" in name for name in trained)
    assert count == sum(parameter.numel() for parameter in model.model.multi_modal_projector.parameters())
    set_trainable(model, ("projector", "language_model", "vision_tower"))
    assert all(parameter.requires_grad for parameter in model.parameters())

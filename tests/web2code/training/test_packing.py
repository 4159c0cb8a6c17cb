"""Packed training gives what unpacked training gives, and no sample sees another."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoTokenizer, Lfm2Config, LlavaForConditionalGeneration, Qwen3NextConfig

import web2code.training.loss
from tests.web2code.modelling.checkpoints import LANGUAGE, LANGUAGE_MODELS
from tests.web2code.training.conftest import without_pictures
from web2code.modelling.attention import register_varlen
from web2code.modelling.samples import IGNORED
from web2code.training.batches import collate, collate_packed
from web2code.training.loss import AnswerLoss
from web2code.training.packing import lay_out

ATTENTION = ("varlen", "sdpa", "eager")
# Of the tokens that these attend to, in each of two layers; samples are longer.
WINDOW = 4
WINDOWED = ("mistral", "phi3")
WITH_STATE = {
    "lfm2": lambda shape: Lfm2Config(**shape, layer_types=["conv", "full_attention"]),
    "qwen3_next": lambda shape: Qwen3NextConfig(
        **shape, head_dim=8, layer_types=["linear_attention", "full_attention"], linear_key_head_dim=8,
        linear_value_head_dim=8, linear_num_key_heads=2, linear_num_value_heads=4, num_experts=4,
        num_experts_per_tok=2, moe_intermediate_size=16, shared_expert_intermediate_size=16,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def model(prepared):
    register_varlen()
    return LlavaForConditionalGeneration.from_pretrained(prepared / "base", dtype=torch.float32).eval()


@pytest.fixture(scope="module", params=["llama", "crystalcoder", "qwen3", *WINDOWED])
def language(request, prepared):
    """A model with each kind of language model, in random weights that are large enough to matter."""
    register_varlen()
    config = AutoConfig.from_pretrained(prepared / "base")
    shape = LANGUAGE | {"vocab_size": config.text_config.vocab_size}
    shape |= {"sliding_window": WINDOW} if request.param in WINDOWED else {}
    config.text_config = LANGUAGE_MODELS[request.param](shape)
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.model.language_model.parameters():
            parameter.mul_(1 if parameter.ndim == 1 else 5)
    return model


def attend(model, attention):
    model.set_attn_implementation({"text_config": attention, "vision_config": "sdpa"})
    return model


def gradients(model, batch, num_tokens):
    model.zero_grad()
    loss = AnswerLoss(model)(**batch, num_tokens=num_tokens)
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.integers(1, 5), st.integers(400, 900))
def test_every_sample_is_in_one_pack_and_workers_have_as_many(lengths, num_workers, capacity):
    lengths = np.asarray(lengths * num_workers)
    packs = lay_out(lengths, num_workers, capacity)
    assert len({len(of_worker) for of_worker in packs}) == 1
    assert sorted(np.concatenate([pack for of_worker in packs for pack in of_worker])) == list(range(len(lengths)))
    sums = [int(lengths[pack].sum()) for of_worker in packs for pack in of_worker]
    assert min(sums) > 0
    assert max(sums) <= capacity
    assert max(sums) - min(sums) <= 400  # of longest-first scheduling: the gap is at most one sample


def test_what_cannot_be_laid_out_is_one_sentence():
    with pytest.raises(ValueError, match="a sample of 90 tokens does not fit into a pack of 80: set pack"):
        lay_out(np.array([10, 90]), 2, 80)
    with pytest.raises(ValueError, match="3 samples do not split over 2 workers"):
        lay_out(np.array([10, 10, 10]), 2, 80)


@pytest.mark.parametrize("attention", ATTENTION)
def test_loss_and_gradients_are_those_of_padded_rows(language, arrays, prepared, attention):
    indices, tokens = np.array([3, 10, 25, 44, 90]), 50.0
    pad = AutoTokenizer.from_pretrained(prepared / "base").pad_token_id
    expected = gradients(attend(language, "sdpa"), collate(arrays, indices, pad, torch.float32), tokens)
    packed = gradients(attend(language, attention), collate_packed(arrays, indices, torch.float32), tokens)
    assert packed[0] == pytest.approx(expected[0], rel=1e-5)
    for name, gradient in expected[1].items():
        torch.testing.assert_close(packed[1][name], gradient, rtol=1e-3, atol=1e-6, msg=name)


@pytest.mark.parametrize("part", ["text", "picture"])
@pytest.mark.parametrize("attention", ATTENTION)
def test_a_change_in_one_sample_changes_no_other_by_a_single_bit(language, arrays, attention, part):
    batch = collate_packed(arrays, np.array([5, 17, 60]), torch.float32)
    start, end = batch["cu_seq_lens_q"][1:3].tolist()
    changed = copy.deepcopy(batch)
    if part == "text":
        changed["input_ids"][0, end - 1] = 30
        changed["input_ids"][0, start] = 31
    else:
        assert batch["num_images"] == 3
        changed["pixel_values"][1] = batch["pixel_values"][1].flip(0) + 1
    first, second = (logits(attend(language, attention), one) for one in (batch, changed))
    assert not torch.equal(first[start:end], second[start:end])
    assert torch.equal(first[:start], second[:start])
    assert torch.equal(first[end:], second[end:])


@pytest.mark.parametrize("attention", ATTENTION)
def test_a_token_reaches_as_far_as_the_window_of_each_layer_and_no_further(language, arrays, attention):
    """`WINDOW` - 1 tokens further in each of the two layers; without a window, to the end of its sample."""
    batch = collate_packed(arrays, np.array([5, 17, 60]), torch.float32)
    start, end = batch["cu_seq_lens_q"][1:3].tolist()
    changed = copy.deepcopy(batch)
    changed["input_ids"][0, start] = 31
    first, second = (logits(attend(language, attention), one) for one in (batch, changed))
    is_windowed = language.config.text_config.model_type in WINDOWED
    reached = start + 1 + 2 * (WINDOW - 1) if is_windowed else end
    assert reached < end or not is_windowed
    differs = (first != second).any(dim=-1).tolist()
    assert differs == [start <= position < reached for position in range(len(differs))]


@pytest.mark.parametrize("name", ["lfm2", "qwen3_next"])
def test_layers_that_keep_a_state_train_on_padded_rows_as_on_samples_alone(name, arrays, prepared):
    """In one sequence they would see the samples before, which `web2code.modelling.language_models` refuses."""
    config = AutoConfig.from_pretrained(prepared / "base")
    config.text_config = WITH_STATE[name](LANGUAGE | {"vocab_size": config.text_config.vocab_size})
    torch.manual_seed(0)
    model = attend(LlavaForConditionalGeneration(config).eval(), "varlen")
    pad = AutoTokenizer.from_pretrained(prepared / "base").pad_token_id
    indices = np.array([5, 17, 60])
    together = gradients(model, collate(arrays, indices, pad, torch.float32), 20.0)
    parts = [gradients(model, collate(arrays, np.array([index]), pad, torch.float32), 20.0) for index in indices]
    assert together[0] == pytest.approx(sum(loss for loss, _ in parts), rel=1e-5)
    for parameter, gradient in together[1].items():
        alone = sum(each[parameter] for _, each in parts)
        torch.testing.assert_close(gradient, alone, rtol=1e-3, atol=1e-6, msg=parameter)


def logits(model, batch):
    """Of a packed sequence: (length, vocabulary)."""
    inputs = {name: value for name, value in batch.items() if name not in ("labels", "num_images")}
    with torch.no_grad():
        return model(**inputs, use_cache=False).logits[0]


def test_bounds_that_are_missing_are_not_passed_over(model, arrays):
    batch = collate_packed(arrays, np.array([5, 17, 60]), torch.float32)
    unbound = {name: value for name, value in batch.items() if not name.startswith("cu_")}
    with pytest.raises(AssertionError, match="positions start again"):
        AnswerLoss(attend(model, "varlen"))(**unbound, num_tokens=1.0)


def test_the_first_token_of_a_sample_is_not_predicted_from_the_sample_before(arrays):
    batch = collate_packed(arrays, np.array([5, 17, 60]), torch.float32)
    assert (batch["labels"][0, batch["cu_seq_lens_q"][:-1].long()] == IGNORED).all()


def test_samples_without_a_picture_train_beside_others(model, arrays):
    mixed = without_pictures(arrays, [17])
    together = gradients(attend(model, "varlen"), collate_packed(mixed, np.array([5, 17]), torch.float32), 20.0)
    parts = [gradients(model, collate_packed(mixed, np.array([i]), torch.float32), 20.0) for i in (5, 17)]
    assert together[0] == pytest.approx(parts[0][0] + parts[1][0], rel=1e-5)
    projector = [name for name in together[1] if "projector" in name]
    assert projector
    for name in projector:
        assert not parts[1][1][name].any()  # there, so that workers can exchange it, and zero
        torch.testing.assert_close(together[1][name], parts[0][1][name], rtol=1e-4, atol=1e-7)


def test_the_loss_in_chunks_is_the_loss(model, arrays, monkeypatch):
    batch = collate_packed(arrays, np.array([5, 17, 60]), torch.float32)
    whole = gradients(attend(model, "varlen"), batch, 20.0)
    monkeypatch.setattr(web2code.training.loss, "CHUNK", 7)
    chunked = gradients(model, batch, 20.0)
    assert chunked[0] == pytest.approx(whole[0], rel=1e-6)
    for name, gradient in whole[1].items():
        torch.testing.assert_close(chunked[1][name], gradient, rtol=1e-4, atol=1e-7, msg=name)

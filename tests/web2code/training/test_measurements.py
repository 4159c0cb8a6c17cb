"""What a step measures is what was computed, and measuring changes no bit of it."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoTokenizer, LlavaForConditionalGeneration

import web2code.training.loss
from web2code.training import measurements
from web2code.training.batches import collate, collate_packed
from web2code.training.flops import ModelFlops
from web2code.training.history import History
from web2code.training.loss import AnswerLoss
from web2code.training.measurements import Meter

pytestmark = pytest.mark.usefixtures("alone")

# A caption, then HTML, then a question: of each kind another number, in no order.
MIXED = np.array([2, 0, 1, 5, 4, 10, 7, 11, 3])


@pytest.fixture(scope="module")
def model(prepared):
    return LlavaForConditionalGeneration.from_pretrained(prepared / "base", dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def pad(prepared):
    return AutoTokenizer.from_pretrained(prepared / "base").pad_token_id


def step_over(meter, loss, micro_batches, batch):
    """A step of one worker, without an update."""
    meter.begin()
    total, num_tokens = torch.zeros(1), float(meter.arrays.label_counts[batch].sum())
    for indices, tensors in micro_batches:
        total += loss(**tensors, num_tokens=num_tokens)
        meter.add(indices, tensors, loss.token_losses)
    assert meter.reduce(total, torch.device("cpu")) == float(total)
    return meter.end(batch, 0.1, 2.0)


@pytest.mark.parametrize("chunk", [4096, 7])
@pytest.mark.parametrize("packed", [False, True])
def test_the_loss_of_a_source_is_that_of_its_samples_alone(model, arrays, pad, packed, chunk, monkeypatch):
    monkeypatch.setattr(web2code.training.loss, "CHUNK", chunk)

    def made(indices):
        return (
            collate_packed(arrays, indices, torch.float32) if packed else collate(arrays, indices, pad, torch.float32)
        )

    loss = AnswerLoss(model)
    with torch.no_grad():
        parts = [(part, made(part)) for part in np.split(MIXED, 3)]
        step = step_over(Meter(arrays), loss, parts, MIXED)
        for kind, name in enumerate(part.part for part in arrays.layout.parts):
            own = MIXED[arrays.parts[MIXED] == kind]
            assert len(own)
            tokens = float(arrays.label_counts[own].sum())
            assert step.source_losses[name] == pytest.approx(float(loss(**made(own), num_tokens=tokens)), rel=1e-5)


def test_measuring_the_tokens_changes_no_bit_of_loss_and_gradient(model):
    generator = torch.Generator().manual_seed(0)
    width, vocabulary = model.lm_head.in_features, model.lm_head.out_features
    for num_tokens in (0, 1, 333, 1000):
        targets = torch.randint(vocabulary, (num_tokens,), generator=generator)
        hidden = torch.randn(num_tokens, width, generator=generator) * 3
        ours, plain = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
        loss, losses = AnswerLoss(model).cross_entropy(ours, targets)
        expected = functional.cross_entropy(model.lm_head(plain).float(), targets, reduction="sum")
        loss.backward()
        expected.backward()
        assert torch.equal(loss, expected)
        assert torch.equal(ours.grad, plain.grad)
        each = functional.cross_entropy(model.lm_head(hidden), targets, reduction="none")
        torch.testing.assert_close(losses, each, rtol=1e-5, atol=1e-6)


def test_padding_is_what_was_computed_for_nothing(model, arrays, pad):
    meter, loss = Meter(arrays), AnswerLoss(model)
    lengths = arrays.lengths[MIXED]
    with torch.no_grad():
        padded = step_over(meter, loss, [(MIXED, collate(arrays, MIXED, pad, torch.float32))], MIXED)
        packed = step_over(meter, loss, [(MIXED, collate_packed(arrays, MIXED, torch.float32))], MIXED)
    rows = len(MIXED) * -(-lengths.max() // 16) * 16
    assert (padded.num_tokens, padded.num_positions, padded.num_samples) == (lengths.sum(), rows, len(MIXED))
    assert padded.metrics()["padding_share"] == pytest.approx(1 - lengths.sum() / rows, rel=1e-5)
    assert packed.metrics()["padding_share"] == 0


def test_rates_are_of_the_whole_step_and_waiting_is_a_share_of_it(arrays, pad, monkeypatch):
    clock = iter([9.0, 10.0, 10.5, 11.5, 13.0, 14.0])
    monkeypatch.setattr(measurements, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    meter = Meter(arrays, ModelFlops(token=3, square=2, learned=5, picture=7), peak=1e6)
    meter.begin()
    with meter.waiting():
        meter.add(MIXED, collate(arrays, MIXED, pad, torch.float32), torch.zeros(arrays.label_counts[MIXED].sum()))
    meter.reduce(torch.ones(1), torch.device("cpu"))
    step = meter.end(MIXED, 0.1, None)
    lengths, learned = arrays.lengths[MIXED], arrays.label_counts[MIXED]
    metrics = step.metrics()
    assert metrics["tokens_per_second"] == pytest.approx(lengths.sum() / 4, rel=1e-5)
    assert metrics["samples_per_second"] == len(MIXED) / 4
    assert metrics["data_wait_share"] == 0.25
    assert meter.clock == 4.0
    flops = 3 * lengths.sum() + 2 * (lengths**2).sum() + 5 * learned.sum() + 7 * len(MIXED)
    assert metrics["mfu"] == pytest.approx(flops / 4 / 1e6, rel=1e-5)
    assert "gradient_norm" not in metrics


def test_a_history_tells_medians_and_the_losses_of_sources(arrays):
    history = History(4, [], [])
    step = step_over(Meter(arrays), None, [], MIXED)
    for loss, norm, code in ((3.0, 5.0, 4.0), (2.0, 9.0, 3.0), (1.0, 7.0, 1.0)):
        sources = {"code": code} | ({"question": 0.5} if loss < 3 else {})
        measured = dataclasses.replace(step, loss=loss, gradient_norm=norm, source_losses=sources, num_positions=1000)
        history.metrics.append(measured.metrics())
    history.metrics.append({"loss": float("nan"), "gradient_norm": float("inf"), "source_loss/code": float("nan")})
    told = history.measurements()
    assert told.gradient_norm == 7.0
    assert told.mfu is None
    assert told.source_losses == {"code": (4.0, pytest.approx(8 / 3)), "question": (0.5, 0.5)}
    assert 10**7 < told.memory_bytes < 10**11

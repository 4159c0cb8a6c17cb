"""What can only be told on a GPU: kernels that keep samples apart, gradients, copies of states, memory, odd widths.

`python -m benchmarks.check_device` takes a few minutes, prints a line for each and ends with an error where a check
fails. It needs what `benchmarks.train_step` needs with a device; where pydantic is installed as well, it prints what
`web2code.estimate` says of the memory. `--device cpu` does the same with toy sizes.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmarks.train_step import (
    BOS,
    CLIP_L,
    IMAGE,
    MAX_LENGTH,
    SHAPES,
    MasterAdamW,
    Shape,
    clip,
    config_of,
    draw,
    now,
    on_device,
    placed,
    sizes_of,
    train_on,
    trained_of,
)
from web2code.modelling.attention import VARLEN
from web2code.modelling.samples import IGNORED
from web2code.training.batches import Batch, collate_packed
from web2code.training.copies import Copies
from web2code.training.gradient_checkpointing import checkpoint_layers
from web2code.training.loss import AnswerLoss

CRYSTAL = SHAPES["crystalchat-7b"].language
# A CrystalChat's layers, eight of its 32: two billion parameters with the tower's.
MIDDLE = Shape(CLIP_L, {**CRYSTAL, "n_layer": 8}, 8 * MAX_LENGTH)
SMALL = Shape(
    {**CLIP_L, "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 4},
    {**CRYSTAL, "n_embd": 1024, "n_inner": 2730, "n_layer": 4, "n_head": 8},
    MIDDLE.pack_tokens,
)
TOY = Shape(
    {**CLIP_L, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
     "image_size": 28},
    {**CRYSTAL, "n_embd": 32, "n_inner": 64, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "vocab_size": 320},
    MIDDLE.pack_tokens,
)  # fmt: skip
# How far two kernels' gradients of a parameter may differ in bf16, as a share of their norm.
TOLERANCE = 0.05
# A CrystalChat's width and the units of its MLP, and their next multiple of 64: rows of 10,922 numbers do not begin at
# multiples of 16 bytes.
HIDDEN, UNITS = 4096, (10_922, 10_944)


@dataclass(frozen=True)
class Sizes:
    """Two models; for products and copies the rows of a matrix, and how often."""

    small: Shape
    middle: Shape
    rows: int
    rounds: int


SIZES = {"cuda": Sizes(SMALL, MIDDLE, MIDDLE.pack_tokens, 20), "cpu": Sizes(TOY, TOY, 16, 1)}


def samples_stay_apart(sizes: Sizes, device: str) -> tuple[bool, str]:
    """Other texts in the second of four packed samples change its own logits and not a bit of the others'."""
    model = placed(sizes.small, device).eval()
    batch = four_packed(sizes.small, device)
    start, end = batch["cu_seq_lens_q"][1:3].tolist()
    ids = batch["input_ids"].clone()
    of_sample = ids[:, start:end]
    of_sample[of_sample > IMAGE] = of_sample[of_sample > IMAGE].flip(0)
    before, after = (logits(model, batch | {"input_ids": given}) for given in (batch["input_ids"], ids))
    differs = (before != after).any(-1)
    others = int(differs[:start].sum() + differs[end:].sum())
    own = int(differs[start:end].sum())
    return own > 0 and not others, f"an edit changes {own} positions of its sample, {others} of the others"


def gradients_agree(sizes: Sizes, device: str) -> tuple[bool, str]:
    """The kernel for packed samples gives the gradients that masked attention gives."""
    model, batch, found = placed(sizes.small, device), four_packed(sizes.small, device), []
    for attention in (VARLEN, "sdpa"):
        model.set_attn_implementation({"text_config": attention, "vision_config": "sdpa"})
        model.zero_grad()
        AnswerLoss(model)(**batch, num_tokens=float(batch["input_ids"].numel())).backward()
        found.append([parameter.grad.float() for parameter in trained_of(model) if parameter.grad is not None])
    worst = max(float((one - other).norm() / other.norm()) for one, other in zip(*found, strict=True))
    return worst < TOLERANCE, f"gradients differ by {worst:.2%} of their norm at most"


def copies_are_of_their_time(sizes: Sizes, device: str) -> tuple[bool, str]:
    """States that change as soon as they are copied are copied as they were, while the device computes."""
    copies, made = Copies(torch.device(device)), [torch.empty(0)]
    state, factor = (torch.randn(sizes.rows, sizes.rows, device=device) for _ in range(2))
    factor = factor.bfloat16()
    for _ in range(2):  # the first maps new memory
        began = now(device)
        busy(factor, sizes.rounds)
        alone = now(device) - began
        expected = state.normal_().clone()
        began = now(device)
        state.add_(0)
        copies.begin()
        writer = threading.Thread(target=lambda: made.append(copies.of([state])[0]))
        writer.start()
        busy(factor, sizes.rounds)
        writer.join()
        state.zero_()
        beside = now(device) - began
    found = f"computing takes {alone:.4f} s, and {beside:.4f} s beside a copy of {state.nbytes / 1e9:.2f} GB"
    return torch.equal(made[-1], expected.cpu()), found


def memory(sizes: Sizes, device: str) -> str:
    """Of a training step with recomputed layers, float32 master weights and moments, and a pack of eight samples."""
    model = placed(sizes.middle, device)
    checkpoint_layers(model)
    optimizer = MasterAdamW(trained_of(model))
    batch = eight_long(sizes.middle)
    for _ in range(2):
        train_on(model, [batch], float(batch["input_ids"].numel()), device)
        clip(model)
        optimizer.step()
        optimizer.zero_grad()
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else 0
    return f"{peak / 2**30:.2f} GiB at the peak; {estimated_memory()}"


def products(sizes: Sizes, device: str) -> str:
    """An MLP's matrices, forwards and backwards, with both numbers of units."""
    odd, even = (mlp_seconds(units, sizes, device) for units in UNITS)
    return f"{UNITS[0]:,} units {odd * 1e3:.3f} ms, {UNITS[1]:,} units {even * 1e3:.3f} ms ({odd / even:.2f} times)"


def four_packed(shape: Shape, device: str) -> Batch:
    """Samples of the mixture in one sequence."""
    return on_device(collate_packed(draw(4, *sizes_of(shape)), np.arange(4), torch.bfloat16), device)


def eight_long(shape: Shape) -> Batch:
    """Eight samples as long as the context, each a picture and a text that is learned."""
    vocabulary, image_tokens, size = sizes_of(shape)
    texts = torch.randint(4, vocabulary, (8, MAX_LENGTH - 1 - image_tokens))
    heads = torch.tensor([BOS] + [IMAGE] * image_tokens).expand(8, -1)
    bounds = torch.arange(9, dtype=torch.int32) * MAX_LENGTH
    return {
        "input_ids": torch.cat([heads, texts], dim=1).view(1, -1),
        "labels": torch.cat([torch.full_like(heads, IGNORED), texts], dim=1).view(1, -1),
        "position_ids": torch.arange(MAX_LENGTH).repeat(8)[None],
        "cu_seq_lens_q": bounds,
        "cu_seq_lens_k": bounds,
        "max_length_q": MAX_LENGTH,
        "max_length_k": MAX_LENGTH,
        "pixel_values": torch.randn(8, 3, size, size).to(torch.bfloat16),
        "num_images": 8,
    }


@torch.no_grad()
def logits(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Of every position: (length, vocabulary)."""
    pictures = {"pixel_values": batch["pixel_values"]} if batch["num_images"] else {}
    told = {name: value for name, value in batch.items() if name not in ("labels", "num_images", "pixel_values")}
    return model(**told, **pictures, use_cache=False).logits[0]


def busy(factor: torch.Tensor, rounds: int) -> None:
    """Give the device something to do."""
    for _ in range(rounds):
        factor @ factor


def mlp_seconds(units: int, sizes: Sizes, device: str) -> float:
    """Of two products and of their gradients, in bf16."""
    states, up, down = (
        torch.randn(shape, device=device, dtype=torch.bfloat16, requires_grad=True)
        for shape in ((sizes.rows, HIDDEN), (HIDDEN, units), (units, HIDDEN))
    )
    gradient, began = torch.randn_like(states), 0.0
    for number in range(sizes.rounds + 1):
        if number == 1:  # the first warms up
            began = now(device)
        torch.autograd.grad(states @ up @ down, (states, up, down), gradient)
    return (now(device) - began) / sizes.rounds


def estimated_memory() -> str:
    """What is estimated of `MIDDLE` in such a step, whatever is measured."""
    try:
        from web2code.estimate.memory import Setup, count_parameters, stage_memory
        from web2code.estimate.tracing import stage_model, trace_loss, trace_memory
    except ImportError as error:
        return f"not estimated here: {error}"
    model = stage_model(config_of(MIDDLE), ("projector", "language_model"), None, torch.bfloat16)
    setup = Setup(num_devices=1, micro_batch=8, zero_stage=0, precision="bf16", checkpointing=True)
    parameters, traced = count_parameters(model), trace_memory(model, MAX_LENGTH, checkpointing=True)
    num_learned = 8 * (MAX_LENGTH - model.config.image_seq_length)
    said = stage_memory(parameters, replace(traced, loss=trace_loss(model, num_learned)), setup)
    return f"{(said.states + said.activations + said.transient) / 2**30:.2f} GiB are estimated for the GPU's"


CHECKS: tuple[Callable[[Sizes, str], tuple[bool, str]], ...] = (
    samples_stay_apart, gradients_agree, copies_are_of_their_time,
)  # fmt: skip
FIGURES: tuple[Callable[[Sizes, str], str], ...] = (memory, products)


def main() -> None:
    """Read the arguments, and check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=SIZES, default="cuda")
    device = parser.parse_args().device
    failed = []
    for check in CHECKS:
        passed, found = check(SIZES[device], device)
        print(f"{'pass' if passed else 'FAIL'}  {check.__name__}: {found}", flush=True)
        failed += [check.__name__] * (not passed)
    for figure in FIGURES:
        print(f"      {figure.__name__}: {figure(SIZES[device], device)}", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

"""What a training step measures, and by which names that is shown."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from deepspeed.accelerator import get_accelerator
from transformers import PreTrainedModel

from web2code.estimate.devices import peak_flops
from web2code.estimate.pictures import is_known
from web2code.training.arrays import Arrays
from web2code.training.batches import Batch
from web2code.training.flops import ModelFlops, model_flops, pieces_of

SOURCE_LOSS = "source_loss/"


@dataclass(frozen=True)
class Step:
    """A step of all workers; the time that it waited for data, and memory, are those of the worker with the most.

    Losses are nats a token; `num_positions` is what was computed for `num_tokens`, padding included; memory is the
    peak since a worker began, in bytes, and of other workers until the step's backward pass. None is what is not known:
    the norm without ZeRO, MFU without a known GPU.
    """

    loss: float
    source_losses: dict[str, float]
    learning_rate: float
    gradient_norm: float | None
    num_samples: int
    num_tokens: int
    num_positions: int
    seconds: float
    seconds_waited: float
    memory: int
    mfu: float | None

    def metrics(self) -> dict[str, float]:
        """By the names that docs/metrics.md explains; what is not known is left out."""
        known = {
            "learning_rate": self.learning_rate,
            "gradient_norm": self.gradient_norm,
            "tokens_per_second": self.num_tokens / self.seconds,
            "samples_per_second": self.num_samples / self.seconds,
            "mfu": self.mfu,
            "padding_share": 1 - self.num_tokens / self.num_positions,
            "data_wait_share": self.seconds_waited / self.seconds,
            "memory_bytes": self.memory,
            **{f"{SOURCE_LOSS}{name}": loss for name, loss in self.source_losses.items()},
        }
        rounded = {name: float(f"{value:.6g}") for name, value in known.items() if value is not None}
        return {"loss": self.loss, **rounded}


class Meter:
    """Measures the steps of a stage on this worker, one after another.

    `peak` is what the GPUs of all workers can do in a second, in floating-point operations, where that is known.
    `clock` is the first worker's, read by all in every step: seconds since the meter was made.
    """

    def __init__(self, arrays: Arrays, flops: ModelFlops | None = None, peak: float = 0.0) -> None:
        self.arrays, self.flops, self.peak = arrays, flops, peak
        self.sources = [part.part for part in arrays.layout.parts]
        self.started, self.clock = time.perf_counter(), 0.0

    def begin(self) -> None:
        """A step begins."""
        self.began, self.waited = time.perf_counter(), 0.0
        self.positions, self.losses = 0, torch.zeros(len(self.sources))
        self.pieces = np.zeros(2)  # of pictures, and the squares of each picture's number of them

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What happens within is waiting for data."""
        asked = time.perf_counter()
        yield
        self.waited += time.perf_counter() - asked

    def add(self, indices: np.ndarray, tensors: Batch, token_losses: torch.Tensor) -> None:
        """Take in a micro batch of this worker: its samples, and the losses of their learned tokens in that order."""
        sources = torch.from_numpy(np.repeat(self.arrays.parts[indices], self._learned(indices)).astype(np.int64))
        device = token_losses.device  # which is not waited for here
        self.losses = self.losses.to(device).index_add(0, sources.to(device), token_losses)
        self.positions += tensors["input_ids"].numel()
        if self.flops and (self.arrays.pages[indices] >= 0).any():  # else what is shown stands in for a picture
            pieces = pieces_of(tensors).astype(float)
            self.pieces += pieces.sum(), (pieces**2).sum()

    def reduce(self, loss: torch.Tensor, device: torch.device) -> float:
        """Sum over all workers this one's share of the loss, of shape (1,), and beside it what it has measured."""
        own = torch.tensor([self.positions, *self.pieces.tolist(), *self.losses.tolist()], dtype=torch.float32)
        alone = torch.zeros(dist.get_world_size(), 3)
        alone[dist.get_rank()] = torch.tensor([time.perf_counter() - self.started, self.waited, peak_memory()])
        sums = torch.cat([loss, own, alone.flatten()]).to(device)
        dist.all_reduce(sums)
        sums = sums.cpu()
        self.reduced = sums[: -alone.numel()].tolist()
        of_workers = sums[-alone.numel() :].reshape(alone.shape)
        self.clock = of_workers[0, 0].item()
        self.most_waited, self.most_memory = of_workers[:, 1:].max(dim=0).values.tolist()
        return self.reduced[0]

    def end(self, batch: np.ndarray, learning_rate: float, gradient_norm: torch.Tensor | float | None) -> Step:
        """The step over the samples of a global batch is over."""
        lengths, learned = self.arrays.lengths[batch], self._learned(batch)
        counts = np.bincount(self.arrays.parts[batch], learned, len(self.sources))
        loss, num_positions, _, _, *losses = self.reduced
        norm = None if gradient_norm is None else float(gradient_norm)
        seconds = time.perf_counter() - self.began
        return Step(
            loss=loss,
            source_losses={
                name: total / count for name, total, count in zip(self.sources, losses, counts, strict=True) if count
            },
            learning_rate=learning_rate,
            gradient_norm=norm,
            num_samples=len(batch),
            num_tokens=int(lengths.sum()),
            num_positions=round(num_positions),
            seconds=seconds,
            seconds_waited=self.most_waited,
            memory=max(peak_memory(), round(self.most_memory)),
            mfu=self._mfu(batch, int(learned.sum()), seconds),
        )

    def _mfu(self, batch: np.ndarray, num_learned: int, seconds: float) -> float | None:
        if self.flops is None:
            return None
        pieces, squares = self.reduced[2:4]
        return self.flops.of(self.arrays.lengths[batch], num_learned, pieces, squares) / seconds / self.peak

    def _learned(self, indices: np.ndarray) -> np.ndarray:
        """Tokens that are predicted; the first one never is."""
        return self.arrays.label_counts[indices] - self.arrays.learned[self.arrays.offsets[indices]]


def stage_meter(model: PreTrainedModel, arrays: Arrays, precision: str) -> Meter:
    """A meter of a model that is not under DeepSpeed yet; with MFU in bfloat16 on GPUs whose peak is known.

    Of an image-text-to-text model there is none where it is not known what it is given of a picture.
    """
    known = arrays.processor is None or is_known(model.config)
    counted = _on_gpu() and precision == "bf16" and known
    peak = peak_flops(torch.cuda.get_device_name()) if counted else None
    return Meter(arrays, model_flops(model), dist.get_world_size() * peak) if peak else Meter(arrays)


def peak_memory() -> int:
    """The most that this process has held so far, in bytes: of its GPU, or without one of the machine."""
    if _on_gpu():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # which Linux counts in KiB


def _on_gpu() -> bool:
    return get_accelerator().device_name() == "cuda"


def describe(metrics: dict[str, float]) -> str:
    """A step in a few words for whoever watches."""
    speed = metrics["tokens_per_second"]
    rate = f"{speed / 1000:.1f}k" if speed >= 1000 else f"{speed:.0f}"
    words = [f"loss {metrics['loss']:.3f}", f"{rate} tokens/s", f"padding {metrics['padding_share']:.0%}"]
    return " · ".join([*words, f"MFU {metrics['mfu']:.0%}"] if "mfu" in metrics else words)

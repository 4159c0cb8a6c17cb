"""The micro batches of each step, made in the background while the step before is trained on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from web2code.training.arrays import Arrays
from web2code.training.batches import Batch, collate, collate_packed, collate_processed
from web2code.training.deepspeed_config import accumulation_steps
from web2code.training.order import Order
from web2code.training.packing import lay_out

if TYPE_CHECKING:
    from web2code.config import StageConfig

T = TypeVar("T")
TOWER = {"vision_merge", "vision_tower"}


@dataclass(frozen=True)
class Step:
    """The samples of a step, of which `num_tokens` are learned, and one worker's micro batches, each with its own."""

    samples: np.ndarray
    num_tokens: int
    micro_batches: list[tuple[np.ndarray, Batch]]


def steps(
    arrays: Arrays, stage: StageConfig, order: Order, first: int, end: int, pad_token: int, rank: int, world_size: int
) -> Iterator[Step]:
    """One worker's steps from `first` up to `end`."""
    for number in range(first, end):
        yield step_of(arrays, stage, order.batch(number), pad_token, rank, world_size)


def step_of(arrays: Arrays, stage: StageConfig, batch: np.ndarray, pad_token: int, rank: int, world_size: int) -> Step:
    """One worker's share of a global batch; all workers have equally many micro batches."""
    micro_batches = [
        (of_all_workers[rank], _micro_batch(arrays, stage, of_all_workers, pad_token, rank))
        for of_all_workers in zip(*shares(stage, arrays, batch, world_size), strict=True)
    ]
    return Step(batch, int(arrays.label_counts[batch].sum()), micro_batches)


def shares(stage: StageConfig, arrays: Arrays, batch: np.ndarray, world_size: int) -> list[list[np.ndarray]]:
    """Which samples of a global batch each worker holds in each of its micro steps, which are as many for all."""
    if stage.pack_tokens:
        packs = lay_out(arrays.lengths[batch], world_size, stage.pack_tokens)
        return [[batch[pack] for pack in of_worker] for of_worker in packs]
    accumulation = accumulation_steps(stage, world_size)[1]
    return [np.split(batch[worker::world_size], accumulation) for worker in range(world_size)]


def ahead(items: Iterator[T], depth: int = 2) -> Iterator[T]:
    """The same items, up to `depth` of them made by a thread before they are asked for; what it raises, this raises."""
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: T | None, error: BaseException | None = None) -> None:
        while not stopped.is_set():
            try:
                return ready.put((item, error), timeout=0.1)
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:
            put(None, error)

    threading.Thread(target=make, name="loader", daemon=True).start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stopped.set()


def _micro_batch(
    arrays: Arrays, stage: StageConfig, of_all_workers: tuple[np.ndarray, ...], pad_token: int, rank: int
) -> Batch:
    dtype = torch.bfloat16 if stage.precision == "bf16" else torch.float32
    mine = of_all_workers[rank]
    if arrays.processor:
        return collate_processed(arrays, arrays.processor, mine, pad_token, dtype, stage.pack_tokens > 0)
    tensors = collate_packed(arrays, mine, dtype) if stage.pack_tokens else collate(arrays, mine, pad_token, dtype)
    if not tensors["num_images"] and len(arrays.pixels) and _wants_tower(arrays, stage, of_all_workers):
        tensors["pixel_values"] = torch.zeros(1, *tensors["pixel_values"].shape[1:], dtype=dtype)
    return tensors


def _wants_tower(arrays: Arrays, stage: StageConfig, of_all_workers: tuple[np.ndarray, ...]) -> bool:
    """Whether a micro batch without a picture needs a stand-in, from which nothing is learned.

    Workers exchange the gradients of a trained tower together, and DeepSpeed's ZeRO-3 keeps a parameter's gradient of
    the step before until the first micro step has another: there has to be one in every micro step. The weights of a
    frozen tower are gathered under ZeRO-3, by all workers together.
    """
    is_trained = not TOWER.isdisjoint(stage.trainable)
    is_seen = (arrays.pages[np.concatenate(of_all_workers)] >= 0).any()
    return is_trained or (stage.zero_stage == 3 and bool(is_seen))

"""Which samples of a global batch meet in one sequence, on which worker, in which micro step."""

from __future__ import annotations

import heapq

import numpy as np


def lay_out(lengths: np.ndarray, num_workers: int, capacity: int) -> list[list[np.ndarray]]:
    """Positions in the batch of the samples of every pack: for each worker, a list of packs, equally many for all.

    Samples go, longest first, to the pack that holds the fewest tokens, so that no worker waits for another. No pack
    is empty or has more than `capacity` tokens, and there are as few as that allows. The step trains on exactly the
    samples that it would train on without packing.

    Args:
        lengths: tokens of each sample of the global batch.

    Raises:
        ValueError: a sample is longer than a pack, or the batch does not split over the workers.
    """
    if lengths.max() > capacity:
        raise ValueError(
            f"a sample of {lengths.max()} tokens does not fit into a pack of {capacity}: set pack_tokens higher"
        )
    if len(lengths) % num_workers:
        raise ValueError(
            f"{len(lengths)} samples do not split over {num_workers} workers: set global_batch to a multiple"
        )
    longest_first = np.argsort(-lengths, kind="stable")
    num_micro = -(-int(lengths.sum()) // (num_workers * capacity))
    while (packs := _balance(lengths, longest_first, num_workers * num_micro, capacity)) is None:
        num_micro += 1
    # The heaviest packs of all workers meet in one micro step.
    packs.sort(key=lambda pack: -int(lengths[pack].sum()))
    return [packs[worker::num_workers] for worker in range(num_workers)]


def _balance(lengths: np.ndarray, order: np.ndarray, num_packs: int, capacity: int) -> list[np.ndarray] | None:
    heap = [(0, pack) for pack in range(num_packs)]
    packs: list[list[int]] = [[] for _ in range(num_packs)]
    for sample in order.tolist():
        held, pack = heapq.heappop(heap)
        held += int(lengths[sample])
        if held > capacity:
            return None
        packs[pack].append(sample)
        heapq.heappush(heap, (held, pack))
    return [np.asarray(pack) for pack in packs]

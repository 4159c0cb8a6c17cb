"""Near-duplicates among a million rows, and between a training and an evaluation set, from hashes alone.

Pictures are alike where their perceptual hashes differ in at most `MAX_DISTANCE` of 64 bits; texts where their MinHash
says that they share `MIN_SIMILARITY` of their word runs. Both are found by locality: equal blocks of bits (by the
pigeonhole principle none is missed), or equal bands of minima (a pair at 0.8 is missed once in a hundred times).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from web2code.data.fingerprints import NUM_PERMUTATIONS

MAX_DISTANCE = 3
MIN_SIMILARITY = 0.8
BANDS, BAND_ROWS = 12, 5
PAIRS_AT_ONCE = 1 << 22
# In a bucket with more different members than this each is compared with so many neighbours: a boilerplate that fills
# half of a dataset would else cost the square of its size.
MAX_NEIGHBOURS = 256

Close = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Matches:
    """Pairs of positions (left, right), each once, in order of `left`."""

    left: np.ndarray
    right: np.ndarray

    def __len__(self) -> int:
        return len(self.left)


def image_clusters(hashes: np.ndarray) -> np.ndarray:
    """For uint64 hashes of shape (N,): the first position of each row's cluster of alike pictures."""
    unique, inverse = np.unique(hashes, return_inverse=True)
    pairs = [_neighbours(keys, _images_close(unique, unique)) for keys in _blocks(unique)]
    return _first_of_cluster(inverse, len(unique), pairs)


def text_clusters(signatures: np.ndarray) -> np.ndarray:
    """For uint32 signatures of shape (N, 64): the first position of each row's cluster of alike texts."""
    unique, inverse = np.unique(signatures, axis=0, return_inverse=True)
    pairs = [_neighbours(keys, _texts_close(unique, unique)) for keys in _bands(unique)]
    return _first_of_cluster(inverse.reshape(-1), len(unique), pairs)


def image_matches(left: np.ndarray, right: np.ndarray) -> Matches:
    """Pairs of alike pictures, one from each side."""
    return _matches(_blocks(left), _blocks(right), _images_close(left, right))


def text_matches(left: np.ndarray, right: np.ndarray) -> Matches:
    """Pairs of alike texts, one from each side."""
    return _matches(_bands(left), _bands(right), _texts_close(left, right))


def signatures_of(column: list[bytes]) -> np.ndarray:
    """MinHashes as an array of shape (N, 64); a text without words gets a signature like no other."""
    alone = np.random.default_rng(0).integers(0, 2**32, size=(len(column), NUM_PERMUTATIONS), dtype=np.uint32)
    for i, value in enumerate(column):
        if value:
            alone[i] = np.frombuffer(value, "<u4")
    return alone


def _blocks(hashes: np.ndarray) -> list[np.ndarray]:
    """One key array for each of `MAX_DISTANCE + 1` runs of bits: hashes that are alike are equal in one of them."""
    width = 64 // (MAX_DISTANCE + 1)
    mask = np.uint64((1 << width) - 1)
    return [(hashes >> np.uint64(width * block)) & mask for block in range(MAX_DISTANCE + 1)]


def _bands(signatures: np.ndarray) -> Iterator[np.ndarray]:
    """One key array for each band of minima."""
    for band in range(BANDS):
        rows = signatures[:, band * BAND_ROWS : (band + 1) * BAND_ROWS].astype(np.uint64)
        key = np.zeros(len(rows), np.uint64)
        for column in rows.T:  # multiplication by an odd number and a shift mix well enough for a bucket
            key = (key ^ column) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        yield key


def _images_close(left: np.ndarray, right: np.ndarray) -> Close:
    return lambda i, j: np.bitwise_count(left[i] ^ right[j]) <= MAX_DISTANCE


def _texts_close(left: np.ndarray, right: np.ndarray) -> Close:
    return lambda i, j: (left[i] == right[j]).mean(axis=1) >= MIN_SIMILARITY


def _neighbours(keys: np.ndarray, close: Close) -> np.ndarray:
    """Pairs, shape (2, M), of positions with equal keys that are close."""
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    at = np.arange(len(keys))
    found = []
    for shift in range(1, MAX_NEIGHBOURS + 1):
        at = at[at + shift < len(keys)]
        at = at[sorted_keys[at] == sorted_keys[at + shift]]
        if not len(at):
            break
        for start in range(0, len(at), PAIRS_AT_ONCE // 16):
            some = at[start : start + PAIRS_AT_ONCE // 16]
            i, j = order[some], order[some + shift]
            kept = close(i, j)
            found.append(np.stack([i[kept], j[kept]]))
    return np.concatenate(found, axis=1) if found else np.empty((2, 0), np.int64)


def _first_of_cluster(inverse: np.ndarray, num_unique: int, pairs: list[np.ndarray]) -> np.ndarray:
    i, j = np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0), np.int64)
    graph = coo_array((np.ones(len(i), np.int8), (i, j)), shape=(num_unique, num_unique))
    labels = connected_components(graph, directed=False)[1][inverse]
    _, first = np.unique(labels, return_index=True)
    return first[labels]


def _matches(left_keys: list[np.ndarray] | Iterator[np.ndarray], right_keys, close: Close) -> Matches:
    found = []
    for left, right in zip(left_keys, right_keys, strict=True):
        order = np.argsort(right, kind="stable")
        start = np.searchsorted(right[order], left, "left")
        counts = np.searchsorted(right[order], left, "right") - start
        for some in _spans(counts):
            i = np.repeat(some, counts[some])
            offset = np.arange(len(i)) - np.repeat(np.cumsum(counts[some]) - counts[some], counts[some])
            j = order[np.repeat(start[some], counts[some]) + offset]
            kept = close(i, j)
            found.append(np.stack([i[kept], j[kept]]))
    pairs = np.unique(np.concatenate(found, axis=1), axis=1) if found else np.empty((2, 0), np.int64)
    return Matches(left=pairs[0], right=pairs[1])


def _spans(counts: np.ndarray) -> Iterator[np.ndarray]:
    """Positions with candidates, in runs of about `PAIRS_AT_ONCE / 16` pairs."""
    some = np.flatnonzero(counts)
    steps = np.cumsum(counts[some]) // (PAIRS_AT_ONCE // 16)
    yield from (run for run in np.split(some, np.flatnonzero(np.diff(steps)) + 1) if len(run))

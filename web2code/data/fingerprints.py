"""What tells near-duplicates: a perceptual hash of a picture, and a MinHash of a text."""

from __future__ import annotations

import re

import imagehash
import numpy as np
from PIL import Image
from rensa import RMinHash

NUM_PERMUTATIONS = 64
SHINGLE = 3
_WORDS = re.compile(r"\w+")


def perceptual_hash(image: Image.Image) -> int:
    """64 bits (pHash: signs of the low cosine coefficients of 32x32 grey pixels); alike pictures differ in few."""
    bits = np.packbits(imagehash.phash(image).hash.flatten())
    return int.from_bytes(bits.tobytes(), "big")


def minhash(text: str) -> bytes:
    """`NUM_PERMUTATIONS` 32-bit minima over runs of `SHINGLE` words, little endian.

    The share of equal minima estimates the Jaccard similarity of two texts. Empty for a text without words.
    """
    words = _WORDS.findall(text.lower())
    if not words:
        return b""
    shingles = {" ".join(words[start : start + SHINGLE]) for start in range(max(1, len(words) - SHINGLE + 1))}
    sketch = RMinHash(num_perm=NUM_PERMUTATIONS, seed=0)
    sketch.update(sorted(shingles))
    return np.asarray(sketch.digest(), "<u4").tobytes()

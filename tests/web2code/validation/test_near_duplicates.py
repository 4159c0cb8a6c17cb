"""Near-duplicates against a comparison of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from web2code.data.fingerprints import minhash, perceptual_hash
from web2code.validation.near_duplicates import (
    MAX_DISTANCE,
    image_clusters,
    image_matches,
    signatures_of,
    text_clusters,
    text_matches,
)


@pytest.fixture
def hashes():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**63, 400, dtype=np.uint64)
    for i in range(0, 400, 4):  # a copy with one to five bits turned over beside each fourth
        bits = rng.choice(64, 1 + i // 4 % 5, replace=False)
        values[i + 1] = values[i] ^ np.bitwise_or.reduce(np.uint64(1) << bits.astype(np.uint64))
    values[3] = values[2]
    return values


def test_no_alike_picture_is_missed_and_none_is_invented(hashes):
    left, right = hashes[::2], hashes[1::2]
    expected = np.bitwise_count(left[:, None] ^ right[None, :]) <= MAX_DISTANCE
    found = image_matches(left, right)
    assert set(zip(found.left.tolist(), found.right.tolist(), strict=True)) == set(
        zip(*(axis.tolist() for axis in np.nonzero(expected)), strict=True)
    )


def test_clusters_name_the_first_of_alike_pictures(hashes):
    first = image_clusters(hashes)
    assert first[3] == 2
    distance = np.bitwise_count(hashes[0::4] ^ hashes[1::4])
    assert ((first[1::4] == np.arange(0, 400, 4)) == (distance <= MAX_DISTANCE)).all()
    assert (first <= np.arange(400)).all()


def test_a_scaled_picture_is_alike_and_another_page_is_not():
    def page(colour: str, boxes: int) -> Image.Image:
        image = Image.new("RGB", (640, 480), "white")
        draw = ImageDraw.Draw(image)
        for i in range(boxes):
            draw.rectangle((40 + 150 * i, 60 + 40 * i, 160 + 150 * i, 300), fill=colour)
        return image

    one = page("navy", 3)
    assert (perceptual_hash(one) ^ perceptual_hash(one.resize((320, 240)))).bit_count() <= MAX_DISTANCE
    assert (perceptual_hash(one) ^ perceptual_hash(page("navy", 1))).bit_count() > MAX_DISTANCE


def test_texts():
    words = [f"word{i}" for i in range(200)]
    original = " ".join(words)
    almost = " ".join([*words[:198], "other", "end"])
    half = " ".join([*words[:100], *(f"else{i}" for i in range(100))])
    signatures = signatures_of([minhash(text) for text in (original, almost, half, original, "")] + [b""])
    assert text_clusters(signatures).tolist() == [0, 0, 2, 0, 4, 5]
    assert text_matches(signatures[:1], signatures[1:]).right.tolist() == [0, 2]


def test_nothing_to_compare():
    none = np.zeros(0, np.uint64)
    assert len(image_matches(none, none)) == 0
    assert len(image_clusters(none)) == 0
    assert len(text_matches(np.zeros((0, 64), np.uint32), np.zeros((3, 64), np.uint32))) == 0

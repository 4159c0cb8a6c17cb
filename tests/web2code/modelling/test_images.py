import io

import numpy as np
import pytest
from PIL import Image

from web2code.modelling import images


def png(width, height, colour):
    stream = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(stream, "PNG")
    return stream.getvalue()


def test_a_tall_picture_is_padded_at_its_sides_with_the_mean_colour():
    pixels = images.square_pixels(png(50, 100, (255, 0, 0)), 32)
    assert pixels.shape == (32, 32, 3)
    assert tuple(pixels[16, 16]) == (255, 0, 0)
    assert tuple(pixels[16, 1]) == tuple(int(255 * channel) for channel in images.CLIP_MEAN)


def test_normalised_mean_colour_is_zero():
    pixels = np.broadcast_to(np.round(np.array(images.CLIP_MEAN) * 255).astype(np.uint8), (1, 4, 4, 3))
    assert abs(images.normalise(pixels.copy())).max() < 0.01


def test_a_bomb_is_refused_before_decoding(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 10_000)
    with pytest.raises(ValueError, match="200x100 pixels is over the limit"):
        images.square_pixels(png(200, 100, (0, 0, 0)), 32)

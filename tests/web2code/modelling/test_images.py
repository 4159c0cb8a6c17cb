import io

import numpy as np
import pytest
from PIL import Image

from web2code.data.images import FORMATS, decode_image
from web2code.evaluation.engines import transformers, vllm
from web2code.evaluation.engines.engine import Request
from web2code.evaluation.screenshots import scaled_png
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


def shown_by(engine, data):
    """The picture that an engine hands on."""
    [message] = {"transformers": transformers.conversation, "vllm": vllm._messages}[engine](Request("", (data,), "", 1))
    part = message["content"][0]
    return part[part["type"]]


DECODERS = {
    "own checkpoints": images.decoded,
    "transformers": lambda data: shown_by("transformers", data),
    "vllm": lambda data: shown_by("vllm", data),
    "endpoints": lambda data: Image.open(io.BytesIO(scaled_png(data, 8192))),
    "results": decode_image,
}


def encoded(form):
    """A picture with whatever a format has besides pixels: transparency, further frames, a turn in its EXIF."""
    rng = np.random.default_rng(0)
    first, second = (Image.fromarray(rng.integers(0, 256, (20, 30, 4), np.uint8)) for _ in range(2))
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"GIF": {"save_all": True, "append_images": [second]}, "WEBP": {"lossless": True, "exif": exif}}
    stream = io.BytesIO()
    if form in ("JPEG", "BMP"):
        first = first.convert("RGB")
    first.save(stream, form, **options.get(form, {"exif": exif}))
    return stream.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_all_decoders_show_the_same_pixels(form):
    data = encoded(form)
    expected = images.decoded(data)
    assert expected.size == (30, 20)
    for name, decode in DECODERS.items():
        found = decode(data)
        assert (found.mode, found.getexif().get(0x0112, 1)) == ("RGB", 1) or name == "results", name
        assert found.tobytes() == expected.tobytes(), name


@pytest.mark.parametrize("form", ["TIFF", "AVIF"])
def test_no_decoder_takes_what_the_others_do_not(form):
    for decode in DECODERS.values():
        with pytest.raises((OSError, ValueError)):
            decode(encoded(form))


def test_a_bomb_is_refused_before_decoding(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 10_000)
    with pytest.raises(ValueError, match="200x100 pixels is over the limit"):
        images.square_pixels(png(200, 100, (0, 0, 0)), 32)

import io

import numpy as np
import pytest
from PIL import Image

from web2code.config import Viewport
from web2code.rendering import Browsers
from web2code.rendering.png import pixels_of

PAGE = "<body style='background:linear-gradient(#f00,#00f)'><h1 style='color:#0f0'>words</h1><p style='height:400px'>"


def by_pillow(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_a_rendered_page_has_the_pixels_that_pillow_reads():
    with Browsers(1, Viewport(width=301, height=100), layout=False) as browsers:
        (snapshot,) = browsers.render([PAGE])
    pixels = pixels_of(snapshot.png)
    assert pixels.shape == (snapshot.height, 301, 3)
    assert np.array_equal(pixels, by_pillow(snapshot.png))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_any_other_png_is_read_too(mode):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)).convert(mode)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    assert np.array_equal(pixels_of(stream.getvalue()), by_pillow(stream.getvalue()))

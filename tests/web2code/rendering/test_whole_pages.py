import io
import time

import numpy as np
import pytest
from PIL import Image

from tests.web2code.rendering.documents import PLAIN
from web2code.config import Viewport
from web2code.rendering import Browsers
from web2code.rendering import browser as browser_module
from web2code.rendering.browser import leaves_traces
from web2code.rendering.pictures import MAX_COPIES, data_urls, with_local_pictures

GREEN = Image.new("RGB", (60, 40), (0, 200, 0))


def png():
    stream = io.BytesIO()
    GREEN.save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def browsers():
    with Browsers(
        2, Viewport(width=256, height=128), layout=False, capture="whole", pictures={"rick.png": png()}
    ) as pool:
        yield pool


def test_what_overflows_is_part_of_a_whole_page(browsers):
    high, wide, small = browsers.render(
        [
            "<!DOCTYPE html><body style='margin:0'><p style='margin:0;height:2000px'>a",
            "<!DOCTYPE html><body style='margin:0'><p style='margin:0;width:600px;height:10px;background:red'>a",
            PLAIN,
        ]
    )
    assert (high.width, high.height) == (256, 2000)
    assert (wide.width, wide.height) == (600, 128)
    assert (small.width, small.height) == (256, 128)
    pixels = np.asarray(Image.open(io.BytesIO(wide.png)).convert("RGB"))
    assert pixels.shape == (128, 600, 3)
    assert tuple(pixels[5, 590]) == (255, 0, 0)


def test_an_endless_page_is_cut(browsers):
    (snapshot,) = browsers.render(["<p style='width:99999px;height:99999px'>a"])
    assert snapshot.width == browser_module.MAX_LENGTH
    assert snapshot.width * snapshot.height <= browser_module.MAX_PIXELS


@pytest.mark.parametrize(
    "page",
    [
        "<body style='margin:0'><img src=rick.png>",
        "<body style='margin:0'><img src='./rick.png' alt='rick.png'>",
        "<body style='margin:0;background:url( \"rick.png\" )'>",
        "<style>body{margin:0;background:url(rick.png)}</style>",
    ],
)
def test_a_picture_that_a_page_names_is_drawn(browsers, page):
    (snapshot,) = browsers.render([page])
    assert Image.open(io.BytesIO(snapshot.png)).convert("RGB").getpixel((30, 20)) == (0, 200, 0)


@pytest.mark.parametrize("page", ['<p>"rick.png" and rick.png', "<img src=other/rick.png>", "<img src=trick.png>"])
def test_other_names_stay(page):
    assert with_local_pictures(page, data_urls({"rick.png": png()})) == page


def test_a_picture_that_is_named_without_end_is_put_in_so_many_times():
    urls = data_urls({"rick.png": png()})
    page = "<img src=rick.png>" * (MAX_COPIES + 100)
    assert with_local_pictures(page, urls).count(urls["rick.png"]) == MAX_COPIES
    began = time.monotonic()
    with_local_pictures("src=" + " " * 100_000 + "src= " * 10_000, urls)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("meta", "leaves"),
    [
        ("<meta charset=utf-8>", False),
        ("<META NAME='viewport' CONTENT='width=device-width, initial-scale=1' />", False),
        ('<meta content="WordPress 6.1; a &amp; b" name="generator"/>', False),
        ('<meta property="og:image" content="https://a.example/b.png?c=d&e=f">', False),
        ('<meta http-equiv="Content-Type" content="text/html; charset=utf-8">', False),
        ('<meta name="color-scheme" content="dark">', True),
        ('<meta name="description" name="color-scheme" content="dark">', True),
        ("<meta name=description content=a><meta name='color&#45;scheme' content=dark>", True),
        ('<meta http-equiv="refresh" content="0">', True),
        ('<meta http-equiv="Content-Security-Policy" content="default-src none">', True),
        ('<meta property="x" http-equiv=refresh content="0">', True),
        ("<meta name=description content='a' / http-equiv=refresh content=0>", True),
        ('<meta name="descriptions" content="a">', True),
        (
            """<meta name="author' content='a" http-equiv="Content-Security-Policy" content="default-src none'>">""",
            True,
        ),
        ("<body link=red>", True),
    ],
)
def test_what_real_heads_hold_needs_no_new_page(meta, leaves):
    assert leaves_traces(f"<html><head>{meta}</head><body>x</body></html>") is leaves


def test_a_head_that_never_ends_is_looked_at_in_time():
    began = time.monotonic()
    leaves_traces("<meta" + " content=a" * 50_000 + "<meta " * 50_000)
    assert time.monotonic() - began < 5

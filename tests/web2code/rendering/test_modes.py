import io
import os
import time
from typing import get_args

import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from tests.web2code.rendering.documents import DRIVEN_BY_SCROLLING
from web2code.config import Viewport
from web2code.rendering import PUBLISHED_VIEWPORT, Browsers, Capture, find_chromium

WINDOW = Viewport(width=400, height=320)
STEP = 280  # seven eighths of its height
# Stripes of ten pixels, each as red as it is far down; a box at 300, and a badge that stays where it is in the window.
STRIPES = "".join(f"<div style='height:10px;background:rgb({n},0,99)'></div>" for n in range(200))
LONG = (
    f"<body style='margin:0'>{STRIPES}<p style='position:absolute;left:0;top:300px;width:50px;height:20px;margin:0'>"
    "here"
    "<b style='position:fixed;left:300px;top:5px;width:40px;height:20px;background:#0f0'>badge</b>"
)
SHORT = "<body style='margin:0;background:#123'><p>short</p>"
# A little taller than the window, so that the key reaches its end.
ROUND = f"<body style='margin:0'><div style='height:200px'></div><div style='height:{WINDOW.height}px;background:#f00'>"
RESPONSIVE = (
    "<style>body{margin:0}div{height:50px;background:#00f}@media (max-width:500px){div{background:#f00}}</style>"
    "<div></div><p>some words that need several lines in a window as narrow as that of a phone in somebody's hand</p>"
)
DESKTOP = Viewport(width=1280, height=720)


def pixel(snapshot, x, y):
    return Image.open(io.BytesIO(snapshot.png)).convert("RGB").getpixel((x, y))


def boxes(snapshot):
    return {element.text or element.tag: element.box for element in snapshot.elements}


@pytest.fixture(scope="module")
def whole():
    with Browsers(1, WINDOW) as pool:
        yield pool


@pytest.fixture(scope="module")
def screens():
    with Browsers(1, WINDOW, capture="screen") as pool:
        yield pool


@pytest.fixture(scope="module")
def published():
    with Browsers(1, WINDOW, capture="page_down") as pool:
        yield pool


def test_a_screen_is_the_top_of_the_page(whole, screens):
    (page,), (screen,) = whole.render([LONG]), screens.render([LONG])
    assert (page.height, screen.height, screen.width) == (2000, 320, 400)
    top = Image.open(io.BytesIO(page.png)).convert("RGB").crop((0, 0, 400, 320))
    assert top.tobytes() == Image.open(io.BytesIO(screen.png)).convert("RGB").tobytes()
    assert len([element for element in screen.elements if element.tag == "div"]) == 32
    assert boxes(screen)["here"] == boxes(page)["here"]


def test_a_page_as_high_as_the_window_is_the_same_in_every_mode(whole, screens, published):
    (page,), (screen,), (scrolled,) = whole.render([SHORT]), screens.render([SHORT]), published.render([SHORT])
    assert page == screen == scrolled


def test_page_down_shows_the_window_after_the_key(published):
    (snapshot,) = published.render([LONG])
    assert (snapshot.width, snapshot.height) == (400, 320)
    assert pixel(snapshot, 200, 5) == (STEP // 10, 0, 99)
    assert pixel(snapshot, 200, 315) == ((STEP + 315) // 10, 0, 99)
    assert pixel(snapshot, 335, 10) == (0, 255, 0)


def test_boxes_after_page_down_are_where_they_are_in_the_picture(published):
    (snapshot,) = published.render([LONG])
    found = boxes(snapshot)
    assert found["p"] == (0, 300 - STEP, 50, 20)
    assert found["b"] == (300, 5, 40, 20)
    assert min(element.box[1] for element in snapshot.elements if element.tag == "div") == 0
    assert max(element.box[1] for element in snapshot.elements if element.tag == "div") == 310


def test_page_down_ends_at_the_end_of_the_page(published):
    (snapshot,) = published.render([ROUND])
    assert {pixel(snapshot, 200, y) for y in (0, 319)} == {(255, 0, 0)}


def test_page_down_is_where_the_key_leads():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), chromium_sandbox=os.geteuid() != 0)
        for window in (WINDOW, PUBLISHED_VIEWPORT):
            page = browser.new_page(viewport={"width": window.width, "height": window.height})
            page.set_content("<body style='height:9000px'>")
            page.keyboard.press("PageDown")
            before, now, deadline = -1, 0, time.monotonic() + 10
            while (now == 0 or now != before) and time.monotonic() < deadline:
                time.sleep(0.2)
                before, now = now, page.evaluate("scrollY")
            assert now == window.height * 7 // 8
        browser.close()


def test_a_scrolled_page_does_not_scroll_the_next(published):
    first, short, again = published.render([LONG, SHORT, LONG])
    assert first == again
    assert pixel(short, 200, 5) == (0x11, 0x22, 0x33)
    assert first == next(published.render([LONG.replace("<body style='", "<body style='scroll-behavior:smooth;")]))


def test_a_page_sees_the_window_that_it_is_in(whole):
    with Browsers(1, DESKTOP) as desktops:
        (wide,), (narrow,) = desktops.render([RESPONSIVE]), whole.render([RESPONSIVE])
    assert [(view.width, view.height) for view in (wide, narrow)] == [(1280, 720), (400, 320)]
    assert [pixel(view, 5, 5) for view in (wide, narrow)] == [(0, 0, 255), (255, 0, 0)]
    assert boxes(narrow)["p"][3] > boxes(wide)["p"][3]


@pytest.mark.parametrize("mode", ["screens", "published"])
def test_repeated_renderings_have_the_same_bytes(mode, request):
    pages = [LONG, SHORT, RESPONSIVE, ROUND] * 3
    pool = request.getfixturevalue(mode)
    assert list(pool.render(pages)) == list(pool.render(pages))


@pytest.mark.parametrize("capture", get_args(Capture))
def test_what_scrolling_would_move_is_the_same_each_time(capture):
    pages = [*DRIVEN_BY_SCROLLING.values()]
    with Browsers(1, WINDOW, capture=capture) as pool:
        assert len(set(pool.render(pages * 6))) == len(pages)

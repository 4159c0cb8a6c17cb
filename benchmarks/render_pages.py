"""Rendering pages, against Selenium as Web2Code's published script uses it, and as fast as one browser of it gets."""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from benchmarks.arms import Arm, report
from web2code.config import Viewport
from web2code.data.writers.procedural import ProceduralWriter
from web2code.rendering import PUBLISHED_VIEWPORT, Browsers, Capture, Snapshot
from web2code.rendering.chromium import find_chromium

LAPTOP = Viewport(width=1280, height=720)
# Two for each of the two cores.
BROWSERS = 4
PAGES = 160
SELENIUM_PAGES = {"published": 24, "one browser": 80}
ROUNDS = 5


def driver() -> webdriver.Chrome:
    """Headless Chrome with a window of 1920 x 1080, as the script opens it."""
    options = Options()
    options.binary_location = find_chromium()
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--hide-scrollbars",
        f"--window-size={PUBLISHED_VIEWPORT.width},{PUBLISHED_VIEWPORT.height}",
    ):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    size = {
        "width": PUBLISHED_VIEWPORT.width,
        "height": PUBLISHED_VIEWPORT.height,
        "deviceScaleFactor": 1,
        "mobile": False,
    }
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    return browser


def published(files: list[Path]) -> tuple[float, list[bytes]]:
    """A browser for each page, as many at once as the script's `ThreadPoolExecutor()` has threads."""
    began = time.perf_counter()
    with ThreadPoolExecutor() as pool:
        pictures = list(pool.map(published_page, files))
    return time.perf_counter() - began, pictures


def published_page(file: Path) -> bytes:
    """A browser of its own, five seconds of waiting, a page down, another second."""
    browser = driver()
    browser.get(file.as_uri())
    time.sleep(5)
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.PAGE_DOWN)
    time.sleep(1)
    picture = browser.get_screenshot_as_png()
    browser.quit()
    return picture


def one_browser(files: list[Path]) -> tuple[float, list[bytes]]:
    """One browser for all pages, and no waiting; its start is not counted."""
    browser = driver()
    began, pictures = time.perf_counter(), []
    for file in files:
        browser.get(file.as_uri())
        pictures.append(browser.get_screenshot_as_png())
    seconds = time.perf_counter() - began
    browser.quit()
    return seconds, pictures


def ours(files: list[Path], viewport: Viewport, capture: Capture, layout: bool) -> tuple[float, list[bytes]]:
    """The pool that builds datasets and judges models; its start is not counted."""
    htmls = [file.read_text() for file in files]
    with Browsers(BROWSERS, viewport, layout, capture) as browsers:
        began = time.perf_counter()
        snapshots = list(browsers.render(htmls))
        seconds = time.perf_counter() - began
    assert all(has_text(snapshot) == layout for snapshot in snapshots), "boxes of text are missing"
    return seconds, [snapshot.png for snapshot in snapshots]


def has_text(snapshot: Snapshot) -> bool:
    """Whether there are boxes of text."""
    return any(element.tag == "#text" for element in snapshot.elements)


def alike(left: bytes, right: bytes) -> bool:
    """Whether two pictures differ in hardly any pixel, where both show the page."""
    a, b = (np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16) for png in (left, right))
    height = min(len(a), len(b))
    return bool((np.abs(a[:height] - b[:height]).max(axis=2) > 32).mean() < 0.01)


def digest(pictures: list[bytes]) -> str:
    """What is the same where all the pictures have the same bytes."""
    return hashlib.sha256(b"".join(hashlib.sha256(picture).digest() for picture in pictures)).hexdigest()


WAYS: dict[str, tuple[str, Callable[..., tuple[float, Any]]]] = {
    "published": (
        "Selenium as published, 1920 x 1080: a browser for each page, 5 s and 1 s of waiting, all threads at once",
        published,
    ),
    "one browser": ("Selenium, one browser, no waiting, 1920 x 1080", one_browser),
    "page down": (
        "ours, what the published script captures, 1920 x 1080",
        partial(ours, viewport=PUBLISHED_VIEWPORT, capture="page_down", layout=False),
    ),
    "whole": (
        "ours, full pages, 1920 x 1080",
        partial(ours, viewport=PUBLISHED_VIEWPORT, capture="page", layout=False),
    ),
    "screen": (
        "ours, screens of 1280 x 720, with boxes of text",
        partial(ours, viewport=LAPTOP, capture="screen", layout=True),
    ),
    "whole laptop": (
        "ours, full pages, 1280 x 720, with boxes of text",
        partial(ours, viewport=LAPTOP, capture="page", layout=True),
    ),
    "whole boxes": (
        "ours, full pages, 1920 x 1080, with boxes of text",
        partial(ours, viewport=PUBLISHED_VIEWPORT, capture="page", layout=True),
    ),
}


def main(num_pages: int = PAGES, rounds: int = ROUNDS) -> None:
    """Measure all ways in turns."""
    with tempfile.TemporaryDirectory() as folder:
        writer, files = ProceduralWriter(0), []
        for number in range(num_pages):
            files.append(Path(folder) / f"{number}.html")
            files[-1].write_text(writer.page(f"p/{number}"))
        arms = {name: Arm(title) for name, (title, _) in WAYS.items()}
        digests: dict[str, str] = {}
        for number in range(rounds):
            pictures = {}
            for name, (_, work) in WAYS.items():
                part = files[: SELENIUM_PAGES.get(name, num_pages)]
                seconds, pictures[name] = work(part)
                arms[name].seconds.append(seconds / len(part))
                print(f"round {number + 1}  {name:<12} {1 / arms[name].seconds[-1]:7.2f} pages/s", flush=True)
                if name not in SELENIUM_PAGES:
                    first = digests.setdefault(name, digest(pictures[name]))
                    assert digest(pictures[name]) == first, f"{name} gave other bytes in round {number + 1}"
            for theirs, own in (("published", "page down"), ("one browser", "whole")):
                same = [alike(a, b) for a, b in zip(pictures[theirs], pictures[own], strict=False)]
                assert np.mean(same) > 0.95, f"only {np.mean(same):.0%} of {own} are like {theirs}"
        heights = [Image.open(io.BytesIO(picture)).height for picture in pictures["whole laptop"]]
        note = (
            "Seconds are those of one page, the start of browsers that are used again not counted; ours gave the same "
            f"bytes in every round. Full pages at 1280 x 720 are {int(np.median(heights))} pixels high in the median, "
            f"{max(heights)} at most."
        )
        report("Rendering pages", 1, "pages", arms, note)
        speed = {name: 1 / arm.median for name, arm in arms.items()}
        print(f"{speed['page down'] / speed['published']:.0f} times as fast as published, the same part of the page")
        print(f"{speed['whole'] / speed['one browser']:.1f} times as fast as one browser of Selenium")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""Rendering pages, against Selenium as Web2Code's published script uses it, and as fast as one browser of it gets."""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from pathlib import Path

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
from web2code.rendering import Browsers
from web2code.rendering.chromium import find_chromium

VIEWPORT = Viewport(width=1920, height=1080)
PAGES = {"published": 2, "one browser": 80, "ours": 160}
ROUNDS = 5


def driver() -> webdriver.Chrome:
    """Headless Chrome with a window of 1920 x 1080, as the script opens it."""
    options = Options()
    options.binary_location = find_chromium()
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--hide-scrollbars",
        f"--window-size={VIEWPORT.width},{VIEWPORT.height}",
    ):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    size = {"width": VIEWPORT.width, "height": VIEWPORT.height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    return browser


def published(files: list[Path]) -> tuple[float, list[bytes]]:
    """A browser for each page, five seconds of waiting, a page down, another second."""
    began, pictures = time.perf_counter(), []
    for file in files:
        browser = driver()
        browser.get(file.as_uri())
        time.sleep(5)
        browser.find_element(By.TAG_NAME, "body").send_keys(Keys.PAGE_DOWN)
        time.sleep(1)
        pictures.append(browser.get_screenshot_as_png())
        browser.quit()
    return time.perf_counter() - began, pictures


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


def ours(files: list[Path]) -> tuple[float, list[bytes]]:
    """The pool that builds datasets and judges models, full pages; its start is not counted."""
    with Browsers(4, VIEWPORT, layout=False) as browsers:
        began = time.perf_counter()
        pictures = [snapshot.png for snapshot in browsers.render(file.read_text() for file in files)]
        return time.perf_counter() - began, pictures


def alike(left: bytes, right: bytes) -> bool:
    """Whether two pictures differ in hardly any pixel, where both show the page."""
    a, b = (np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16) for png in (left, right))
    height = min(len(a), len(b))
    return bool((np.abs(a[:height] - b[:height]).max(axis=2) > 32).mean() < 0.01)


def main() -> None:
    """Measure the three ways in turns."""
    with tempfile.TemporaryDirectory() as folder:
        writer, files = ProceduralWriter(0), []
        for number in range(max(PAGES.values())):
            files.append(Path(folder) / f"{number}.html")
            files[-1].write_text(writer.page(f"p/{number}"))
        ways = {"published": published, "one browser": one_browser, "ours": ours}
        titles = {
            "published": "Selenium as published: a browser for each page, 5 s and 1 s of waiting",
            "one browser": "Selenium, one browser, no waiting",
            "ours": "ours, four browsers, full pages",
        }
        arms = {name: Arm(titles[name]) for name in ways}
        for number in range(ROUNDS):
            pictures = {}
            for name, work in ways.items():
                seconds, pictures[name] = work(files[: PAGES[name]])
                arms[name].seconds.append(seconds / PAGES[name])
                print(f"round {number + 1}  {name:<12} {1 / arms[name].seconds[-1]:7.2f} pages/s", flush=True)
            same = [alike(a, b) for a, b in zip(pictures["one browser"], pictures["ours"], strict=False)]
            assert np.mean(same) > 0.95, f"only {np.mean(same):.0%} of the pictures are alike"
        note = "Seconds are those of one page, the start of browsers that are used again not counted."
        report("Rendering pages", 1, "pages", arms, note)
        speed = {name: 1 / arm.median for name, arm in arms.items()}
        print(f"{speed['ours'] / speed['published']:.0f} and {speed['ours'] / speed['one browser']:.1f} times as fast")


if __name__ == "__main__":
    main()

"""Design2Code's scores, against the published procedure taken step by step."""

from __future__ import annotations

import difflib
import itertools
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright
from scipy.optimize import linear_sum_assignment

from benchmarks.arms import Arm, report
from web2code.data.writers.procedural import ProceduralWriter
from web2code.evaluation.design2code.blocks import Block, merge_same_boxes
from web2code.evaluation.design2code.colours import colour_difference
from web2code.evaluation.design2code.matching import SCORES
from web2code.evaluation.design2code.painting import colour, paint
from web2code.evaluation.design2code.preparation import prepare
from web2code.evaluation.design2code.scorer import VIEWPORT, Scorer, open_browsers
from web2code.rendering.chromium import find_chromium

SAMPLE = Path(__file__).parents[2] / "shared" / "data" / "design2code_sample"
CORES, BROWSERS = 2, 2
PUBLISHED_PAIRS, ROUNDS, PAGES = 1, 5, 484
BODY = re.compile(r"<body[^>]*>", re.IGNORECASE)
Pair = tuple[str, str]
SCORERS: list[Scorer] = []


def pages() -> list[Pair]:
    """As many (reference, candidate) pairs as the published set has, from a dozen that are made a little different.

    The dozen is a sample of the kind if it is beside the repository, or else generated.
    """
    dozen = sample() if SAMPLE.exists() else generated()
    return [
        (numbered(reference, number), numbered(candidate, number))
        for number, (reference, candidate) in zip(range(PAGES), itertools.cycle(dozen), strict=False)
    ]


def sample() -> list[Pair]:
    """The pairs beside the repository."""
    pairs = json.loads((SAMPLE / "scores.json").read_text())["pairs"]
    return [((SAMPLE / p["reference"]).read_text(), (SAMPLE / p["candidate"]).read_text()) for p in pairs]


def generated() -> list[Pair]:
    """Pages, with candidates that lack words and parts of them."""
    writer = ProceduralWriter(0)
    references = [writer.page(f"p/{number}") for number in range(12)]
    return [
        (html, re.sub(r"\b([a-z]+) ([a-z]+)\b", r"\2", html[: len(html) // 2]) + html[-800:]) for html in references
    ]


def numbered(html: str, number: int) -> str:
    """A page with a line more, so that no two are the same."""
    return BODY.sub(lambda body: f"{body[0]}<p>Page {number}</p>", html, count=1)


def screenshot(html: str, png: Path) -> Path:
    """A browser of its own for each picture; the published script starts a Python of its own too."""
    source = png.with_suffix(".html")
    source.write_text(html)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), chromium_sandbox=False)
        page = browser.new_page(viewport={"width": VIEWPORT.width, "height": VIEWPORT.height})
        page.goto(source.as_uri(), timeout=60_000)
        page.screenshot(path=png, full_page=True, animations="disabled", timeout=60_000)
        browser.close()
    return png


def changed_pixels(first: Path, second: Path) -> set[tuple[int, int]]:
    """Each pixel of one picture beside the same of the other."""
    one, other = (Image.open(path).convert("RGB") for path in (first, second))
    a, b = one.load(), other.load()
    assert a, first
    assert b, second
    found = set()
    for x in range(one.width):
        for y in range(one.height):
            colours: Any = zip(a[x, y], b[x, y], strict=True)  # type: ignore[arg-type]
            if all(abs((before + 50) % 256 - after) <= 8 for before, after in colours):
                found.add((y, x))
    return found


def blocks_of(html: str, folder: Path) -> list[Block]:
    """Three browsers, two loops over all pixels, and for each text a mask of the page."""
    painted = paint(html)
    page = np.array(Image.open(screenshot(html, folder / "page.png")).convert("RGB"))
    pictures = [screenshot(getattr(painted, name), folder / f"{name}.png") for name in ("first", "second")]
    changed = changed_pixels(*pictures)
    image = np.array(Image.open(pictures[0]).convert("RGB")).astype(int)
    height, width, _ = image.shape
    blocks = []
    for text, number in painted.texts:
        if number is None:
            continue
        near = (np.abs(image - np.array(colour(number))) <= 4).all(axis=-1)
        places = np.array([place for place in map(tuple, np.argwhere(near).tolist()) if place in changed])
        if not len(places):
            continue
        (top, left), (bottom, right) = places.min(axis=0), places.max(axis=0)
        box = (left / width, top / height, (right - left + 1) / width, (bottom - top + 1) / height)
        mean = tuple(np.mean([page[y, x] for y, x in places], axis=0).astype(int).tolist())
        blocks.append(Block(text.lower(), box, mean))
    return merge_same_boxes(blocks)


def ratio(first: str, second: str) -> float:
    """Difflib's, computed anew each time."""
    return difflib.SequenceMatcher(None, first, second).ratio()


def costs_of(ours: Sequence[Block], theirs: Sequence[Block]) -> np.ndarray:
    """The whole matrix, computed anew each time."""
    return np.array([[-ratio(a.text, b.text) for b in theirs] for a in ours])


def assigned(ours: Sequence[Block], theirs: Sequence[Block]) -> list[float]:
    """The costs of the best assignment."""
    costs = costs_of(ours, theirs)
    return costs[linear_sum_assignment(costs)].tolist()


def gain_of(before: list[float], after: list[float]) -> float:
    """The fall of the mean without the costs that are in both."""
    gone, come = list(before), []
    for cost in after:
        if cost in gone:
            gone.remove(cost)
        else:
            come.append(cost)
    gain = (sum(gone) / len(gone) if gone else 0) - (sum(come) / len(come) if come else 0)
    return 0.0 if gain > 0 and min(gone) <= min(come) else gain


def joined(first: Block, second: Block) -> Block:
    """Two blocks as one."""
    corners = [(b.box[0], b.box[1], b.box[0] + b.box[2], b.box[1] + b.box[3]) for b in (first, second)]
    left, top = (min(corner[side] for corner in corners) for side in (0, 1))
    right, bottom = (max(corner[side] for corner in corners) for side in (2, 3))
    mixed = tuple((a + b) // 2 for a, b in zip(first.colour, second.colour, strict=True))
    return Block(f"{first.text} {second.text}", (left, top, right - left, bottom - top), mixed)


def join_all(sides: list[list[Block]]) -> None:
    """Try every join of neighbours with a matrix of its own, until none gains."""
    changed = True
    while changed:
        changed = False
        for side in (0, 1):
            current, gains = assigned(*sides), []
            for place in range(len(sides[side]) - 1):
                trial = list(sides)
                blocks = list(sides[side])
                blocks[place : place + 2] = [joined(*blocks[place : place + 2])]
                trial[side] = blocks
                gain = gain_of(current, assigned(*trial))
                if gain > 0.05:
                    gains.append((gain, place))
            taken: set[int] = set()
            for _, place in sorted(gains, key=lambda pair: pair[0], reverse=True):
                if not {place, place + 1} & taken:
                    taken |= {place, place + 1}
                    sides[side][place] = joined(*sides[side][place : place + 2])
                    sides[side][place + 1] = replace(sides[side][place + 1], text="")
                    changed = True
            sides[side] = [block for block in sides[side] if block.text]


def published(pair: Pair, folder: Path) -> dict[str, float]:
    """The scores of a pair."""
    theirs, ours = blocks_of(pair[0], folder), blocks_of(prepare(pair[1]), folder)
    if not ours or not theirs:
        return dict.fromkeys(SCORES, 0.0)
    sides = [ours, theirs]
    join_all(sides)
    ours, theirs = sides
    costs = costs_of(ours, theirs)
    adjusted = costs.copy()
    for i, j in itertools.product(*map(range, costs.shape)):
        if costs[i, j] < -0.5:
            window = sorted(costs[max(0, i - 1) : i + 2, max(0, j - 1) : j + 2].ravel().tolist())
            window.remove(costs[i, j])
            adjusted[i, j] += 0.1 * sum(window[:2])
    pairs = [(ours[i], theirs[j]) for i, j in zip(*linear_sum_assignment(adjusted), strict=True)]
    pairs = [(a, b) for a, b in pairs if ratio(a.text, b.text) >= 0.5]
    if not pairs:
        return dict.fromkeys(SCORES, 0.0)
    shifts = [max(abs(p - q) for p, q in zip(a.centre, b.centre, strict=True)) for a, b in pairs]
    differences = [colour_difference(*(np.array([c.colour], float) for c in boxes))[0] for boxes in pairs]
    return {
        "block": sum(a.area + b.area for a, b in pairs) / sum(block.area for block in ours + theirs),
        "text": float(np.mean([ratio(a.text, b.text) for a, b in pairs])),
        "position": 1 - float(np.mean(shifts)),
        "colour": float(np.mean([max(0, 1 - difference / 100) for difference in differences])),
    }


def start(cores: Any, pair: Pair) -> None:
    """Browsers of a process that stays on one core, as a scorer of the cluster does."""
    os.sched_setaffinity(0, {cores.get()})
    SCORERS.append(Scorer(open_browsers(BROWSERS).__enter__()))
    part([pair])


def part(pairs: list[Pair]) -> list[dict[str, float]]:
    """The scores of some pairs."""
    return [score.values for score in SCORERS[0].scores(pairs)]


def ours(pool: ProcessPoolExecutor, pairs: list[Pair]) -> list[dict[str, float]]:
    """The scores of all pairs, a share on each core."""
    shares = list(pool.map(part, [pairs[core::CORES] for core in range(CORES)]))
    return [shares[number % CORES][number // CORES] for number in range(len(pairs))]


def main(num_pages: int = PAGES) -> None:
    """Measure both in turns."""
    pairs = pages()[:num_pages]
    arms = {"published": Arm("as published, step by step"), "ours": Arm("ours, two processes of two browsers each")}
    context = multiprocessing.get_context("spawn")
    cores = context.Queue()
    for core in range(CORES):
        cores.put(core)
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(CORES, context, initializer=start, initargs=(cores, pairs[0])) as pool,
    ):
        ours(pool, pairs[:CORES])
        for number in range(ROUNDS):
            some = pairs[number * PUBLISHED_PAIRS :][:PUBLISHED_PAIRS]
            began = time.perf_counter()
            theirs = [published(pair, Path(folder)) for pair in some]
            arms["published"].seconds.append((time.perf_counter() - began) / len(some))
            began = time.perf_counter()
            found = ours(pool, pairs)
            arms["ours"].seconds.append((time.perf_counter() - began) / len(pairs))
            for place, expected in enumerate(theirs):
                scores = found[number * PUBLISHED_PAIRS + place]
                assert all(abs(scores[name] - expected[name]) < 1e-3 for name in SCORES), "the scores differ"
            for name, arm in arms.items():
                print(f"round {number + 1}  {name:<10} {arm.seconds[-1]:7.3f} s a pair", flush=True)
    note = (
        "Seconds are those of one pair of pages, both rendered; the start of browsers that are used again not counted."
    )
    report("Scoring pages as Design2Code", 1, "pairs", arms, note)
    print(f"{arms['published'].median / arms['ours'].median:.0f} times as fast; {PAGES} pages take "
          f"{PAGES * arms['ours'].median:.0f} s, by {num_pages} of them")  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

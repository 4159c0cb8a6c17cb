"""The page sources: how the pages of each split are drawn."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from web2code.config import PagesConfig
from web2code.pages.folder import read_folder
from web2code.pages.generator import generate
from web2code.pages.page import Page

Splits = dict[str, list[Page]]


def generated(config: PagesConfig, folder: str, dropped: Counter) -> Splits:
    """Pages of the seeded generator; no held-out page has the HTML of a training page."""
    train = [generate(config.seed, index, config.questions_per_page) for index in range(config.num_train)]
    seen = {page.html for page in train}
    held_out: list[Page] = []
    index = config.num_train
    while len(held_out) < config.num_eval:
        page = generate(config.seed, index, config.questions_per_page)
        index += 1
        if page.html in seen:
            dropped["same as a training page"] += 1
        else:
            held_out.append(page)
    return {"train": train, "eval": held_out}


def from_folder(config: PagesConfig, folder: str, dropped: Counter) -> Splits:
    """Sections of a user's documents. A document is on one side only, unless there are too few documents for that.

    Raises:
        ValueError: the folder gives fewer than two pages.
    """
    pages: dict[str, Page] = {}
    for page in read_folder(Path(folder), config.max_html_chars, config.questions_per_page, config.seed, dropped):
        if page.html in pages:
            dropped["duplicate"] += 1
        else:
            pages[page.html] = page
    if len(pages) < 2:
        raise ValueError(f"{folder} gives {len(pages)} page(s) with visible text: name a folder of HTML documents")
    groups: dict[str, list[Page]] = {}
    few = len({page.source for page in pages.values()}) < 8
    for page in pages.values():
        groups.setdefault(page.id if few else page.source, []).append(page)
    order = sorted(groups, key=lambda name: hashlib.sha256(f"{config.seed}/{name}".encode()).hexdigest())
    wanted = min(config.num_eval, max(1, len(pages) // 5))
    held_out: list[Page] = []
    while len(held_out) < wanted and len(order) > 1:
        held_out += groups[order.pop()]
    train = [page for name in order for page in groups[name]]
    dropped["over the number of pages asked for"] += max(0, len(train) - config.num_train)
    dropped["over the number of pages asked for"] += max(0, len(held_out) - wanted)
    return {"train": train[: config.num_train], "eval": held_out[:wanted]}


# A new page source needs its function and a line here, and its name in `PagesConfig.source`.
SOURCES: dict[str, Callable[[PagesConfig, str, Counter], Splits]] = {"generated": generated, "folder": from_folder}


def draw_pages(config: PagesConfig, folder: str, dropped: Counter) -> Splits:
    """The pages of both splits, before rendering; a pure function of the configuration and the folder's content."""
    return SOURCES[config.source](config, folder, dropped)

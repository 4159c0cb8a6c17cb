"""The leaderboard: figures of evaluated models beside published ones, on one page that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from web2code.evaluation.results import Figure, Scores, read_scores, show
from web2code.evaluation.votes import Ratings, rate, read_votes
from web2code.report.answers import write_answers
from web2code.report.html import TEMPLATES, write_page
from web2code.report.published import TABLES

JUDGED = re.compile(r"\bjudge\b", re.IGNORECASE)
Key = tuple[str, str]


@dataclass(frozen=True)
class Group:
    """A table of the page, and the benchmarks in it."""

    name: str
    title: str
    benchmarks: tuple[str, ...]
    note: str


GROUPS = (
    Group("web", "Web pages", ("wub", "wcgb", "wcgb_page_down", "wcgb_widths", "wcgb_design2code",
                             "design2code", "design2code_hard", "design2code_layout"),
          "Computed from pixels, documents and answers, without a judge. The CLIP column depends on the implementation "
          "and compares only within one source."),
    Group("judged", "Judged by a model", ("wcgb_judge", "wcgb_judge_published", "design2code", "flame", "wcgb",
                                          "llava_bench_in_the_wild", "llava_bench_coco", "scienceqa_ensemble"),
          "What a judging model said. Such scores depend on the judge and its version, and those of WCGB that were "
          "published leave out what failed; they compare with nothing that is computed."),
    Group("general", "General", ("mme", "pope", "scienceqa_img", "scienceqa", "mmbench", "mmmu", "ai2d", "mathvista",
                                 "vqav2", "gqa"), "Whether training on web pages cost other abilities."),
    Group("text", "Text in pictures", ("textvqa_ocr", "textvqa", "ocrbench", "stvqa", "docvqa", "chartqa", "infovqa",
                                       "funsd", "sroie"), "Reading scenes, documents and charts."),
    Group("other", "Other benchmarks", (), ""),
)  # fmt: skip
TITLES = {
    "wub": "WUB", "wcgb": "WCGB", "wcgb_judge": "WCGB", "design2code": "Design2Code",
    "design2code_hard": "Design2Code-HARD", "flame": "Flame", "mme": "MME",
    "pope": "POPE", "scienceqa": "ScienceQA", "scienceqa_img": "ScienceQA, pictures", "mmbench": "MMBench",
    "mmmu": "MMMU", "ai2d": "AI2D", "mathvista": "MathVista", "textvqa": "TextVQA", "textvqa_ocr": "TextVQA, OCR words",
    "ocrbench": "OCRBench", "stvqa": "ST-VQA", "docvqa": "DocVQA", "chartqa": "ChartQA", "infovqa": "InfographicVQA",
    "funsd": "FUNSD", "sroie": "SROIE", "vqav2": "VQAv2", "gqa": "GQA", "llava_bench_coco": "LLaVA-Bench, COCO",
    "llava_bench_in_the_wild": "LLaVA-Bench, in the wild", "wcgb_page_down": "WCGB, published window",
    "wcgb_widths": "WCGB, two widths", "wcgb_judge_published": "WCGB, published window",
    "wcgb_design2code": "WCGB, as Design2Code", "design2code_layout": "Design2Code, by layout",
    "scienceqa_ensemble": "ScienceQA, two models",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A figure as it is shown; `detail` is its interval or what else is to be said of it.

    One that is not `whole` is of a benchmark's first samples alone, or of another number of samples than published
    splits have, and is ranked with no other.
    """

    value: float
    text: str
    detail: str = ""
    link: str = ""
    whole: bool = True


@dataclass(frozen=True)
class Entry:
    """A model's figures from one source, ours or a published one."""

    model: str
    about: str
    url: str
    own: bool
    cells: dict[Key, Cell]


@dataclass(frozen=True)
class Board:
    """One table: its columns by benchmark and figure, and the entries that have some of them."""

    group: Group
    columns: list[Key]
    entries: list[Entry]


def write_leaderboard(folders: Sequence[Path], out: Path, votes: Path | None = None) -> Path:
    """Write `index.html` and the pages of answers below the folder `out`; returns the first.

    Raises:
        ValueError: a folder holds no results, or they are damaged.
    """
    entries, places = [], set[str]()
    for folder in folders:
        scores = read_scores(folder)
        place = place_of(scores.model, places)
        places.add(place.lower())
        for name in scores.benchmarks:
            write_answers(out / place, folder, scores, name)
        entries.append(own_entry(scores, place))
    script = TEMPLATES.get_template("leaderboard.js").render()
    write_page(
        out / "index.html",
        "leaderboard.html.j2",
        boards=boards([*entries, *published_entries()]),
        titles=TITLES,
        ratings=rate(read_votes(votes)) if votes else Ratings(ratings=(), num_votes=0, wins={}),
        script=script,
        # Nothing but this one script runs, whatever a result file holds.
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return out / "index.html"


def place_of(model: str, taken: Container[str]) -> str:
    """The folder of a model's answers: the same whatever else is on the page, but for others of the same name."""
    name = re.sub(r"[^A-Za-z0-9.]+", "-", model)[:60].strip("-.") or "model"
    numbered = (f"answers/{name}-{number}" for number in count(2))
    return next(place for place in chain([f"answers/{name}"], numbered) if place.lower() not in taken)


def boards(entries: Sequence[Entry]) -> list[Board]:
    """The tables that some entry is in; our entries come first, then the published ones, best first."""
    found = []
    for group in GROUPS:
        keys = dict.fromkeys(key for entry in entries for key in entry.cells if group_of(key) == group)
        columns = sorted(keys, key=lambda key: _place(group, key[0]))
        inside = [entry for entry in entries if any(key in entry.cells for key in columns)]
        if inside:
            found.append(Board(group, columns, sorted(inside, key=lambda entry: _rank(entry, columns))))
    return found


def group_of(key: Key) -> Group:
    """The table that a figure stands in: judged ones never among computed ones."""
    benchmark, figure = key
    if JUDGED.search(figure) or JUDGED.search(benchmark.replace("_", " ")):
        return GROUPS[1]
    return next((group for group in GROUPS if benchmark in group.benchmarks), GROUPS[-1])


def own_entry(scores: Scores, answers: str) -> Entry:
    """An evaluated model, with each benchmark's main figure by our rule and others', and those that were published."""
    cells = {}
    for name, benchmark in scores.benchmarks.items():
        failed = sum(count for outcome, count in benchmark.outcomes.items() if outcome != "scored")
        main = benchmark.figures[0].name if benchmark.figures else ""
        partly = f"only the first {benchmark.num}" if benchmark.limit else benchmark.notice
        for figure in benchmark.figures:
            by_other_rule = figure.published and figure.name.startswith(f"{main} (")
            if figure.name == main or by_other_rule or (name, figure.name) in PUBLISHED_KEYS:
                lines = [figure.interval()]
                if figure.name == main or partly:
                    lines.append(partly or f"{benchmark.num} samples")
                lines += [f"{failed} unscored"] if failed and figure.name == main else []
                detail = "\n".join(filter(None, lines))
                cells[name, figure.name] = _cell(figure, detail, f"{answers}/{name}-1.html", not partly)
    origin = f"imported · {scores.evaluator}" if scores.imported else f"measured · {scores.engine}"
    about = f"{origin} · {scores.date[:10]}"
    return Entry(scores.model, about, "", True, cells)


def published_entries() -> list[Entry]:
    """Every published model, once for each source."""
    found: dict[Key, Entry] = {}
    for table in TABLES:
        for model, benchmark, figure in table.figures():
            entry = Entry(model, table.source.title, table.source.url, False, {})
            found.setdefault((model, table.source.title), entry).cells[benchmark, figure.name] = _cell(figure)
    return list(found.values())


def _keys(entries: Iterable[Entry]) -> set[Key]:
    return {key for entry in entries for key in entry.cells}


def _cell(figure: Figure, detail: str = "", link: str = "", whole: bool = True) -> Cell:
    return Cell(figure.value, show(figure.value, figure.scale), detail, link, whole)


def _place(group: Group, benchmark: str) -> int:
    return group.benchmarks.index(benchmark) if benchmark in group.benchmarks else len(group.benchmarks)


def _rank(entry: Entry, columns: Sequence[Key]) -> tuple[bool, bool, int, float]:
    there = [place for place, key in enumerate(columns) if key in entry.cells]
    whole = [place for place in there if entry.cells[columns[place]].whole]
    first = (whole or there)[0]
    return not entry.own, not whole, first, -entry.cells[columns[first]].value


PUBLISHED_KEYS = _keys(published_entries())

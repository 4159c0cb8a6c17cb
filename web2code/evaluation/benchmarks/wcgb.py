"""WCGB: the HTML that a model writes for a screenshot, rendered and compared with the page that it was shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from web2code.config import ASPECTS, GROUPS, JudgeConfig, Viewport
from web2code.data.images import ImageIndex, image_size, is_left_by_macos, load_image
from web2code.data.pages import read_pages
from web2code.data.shards import RECORD
from web2code.evaluation.benchmarks import design2code
from web2code.evaluation.benchmarks.benchmark import Answered, Benchmark, Folders, PageScorer, Sample, Verdict
from web2code.evaluation.measure import Measure, mean, parts
from web2code.modelling.templates import CODE_PROMPT

if TYPE_CHECKING:
    from web2code.endpoint import Client

PICTURES = "Web2Code_image_eval.zip"
FETCH = (
    "name a dataset that `web2code data build` made, or put NAME.png with NAME.html beside it for each page there, or "
    f"NAME.png alone; the published screenshots are {PICTURES} of the dataset MBZUAI/Web2Code, packed or unpacked"
)
NUM_PUBLISHED = 1198
MAX_NEW_TOKENS = 3000
WIDTHS = (Viewport(width=1280, height=720), Viewport(width=390, height=844))


def load(folder: Path) -> Iterator[Sample]:
    """Pages with their HTML: those that a dataset holds out, or a folder of `NAME.png` with `NAME.html` beside each.

    Where a folder has no HTML at all, as the published screenshots have none, there is a sample for each picture in
    `PICTURES`, else in the folder: `facts["screenshot"]` is what an answer is compared with, pixel by pixel.

    Raises:
        ValueError: the folder holds none of these, a page lacks one of its two files, or has no usable one.
    """
    if (folder / RECORD).exists():
        for row in read_pages(folder, "eval"):
            yield _sample(row["id"], row["image"], row["html"], f"page {row['id']} of {folder}")
        return
    documents, pictures = (_by_name(folder.glob(pattern)) for pattern in ("*.html", "*.png"))
    if not documents and (screenshots := _screenshots(folder)):
        yield from screenshots
        return
    if not documents or documents.keys() != pictures.keys():
        lacking = sorted(documents.keys() ^ pictures.keys())
        what = f"{lacking[0]} has only one of its two files" if lacking else "it holds none"
        should = "should be a dataset, or hold NAME.png and NAME.html for each page"
        raise ValueError(f"wcgb: {folder} {should}: {what}; {FETCH}")
    for name, path in documents.items():
        html = path.read_text(encoding="utf-8", errors="replace")
        yield _sample(name, pictures[name].read_bytes(), html, str(pictures[name]))


def load_with_html(folder: Path) -> Iterator[Sample]:
    """As `load`, for scores that need the references' HTML.

    Raises:
        ValueError: the folder holds screenshots alone, or as `load`, or half of CLIP.
    """
    clip = design2code.has_clip(folder)
    for sample in load(folder):
        if _is_screenshot(sample):
            raise ValueError(
                f"wcgb_design2code: {folder} holds screenshots without their HTML, which Design2Code's scores need: "
                "put NAME.html beside each NAME.png, or leave this benchmark out"
            )
        yield replace(sample, facts=sample.facts | {"clip": clip})


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Overall and group scores, 0 to 10, then the share that did not render, then the aspects; failed pages score 0.

    Without the reference's HTML there is only the similarity of pixels, and no score of what pixels do not show.
    """
    units = [sample.id for sample in samples]
    failed = mean("render failed", units, [verdict.outcome != "scored" for verdict in verdicts], better="less")
    if remark(samples):
        similarity = [verdict.values.get("similarity", 0.0) for verdict in verdicts]
        return mean("similarity of pixels", units, similarity, 10.0), *parts([failed])
    scored = [
        mean(name, units, [verdict.values.get(name, 0.0) for verdict in verdicts], 10.0) for name in (*GROUPS, *ASPECTS)
    ]
    overall, *groups = scored[: len(GROUPS)]
    return (overall, *parts([*groups, failed]), *scored[len(GROUPS) :])


def remark(samples: Sequence[Sample]) -> str:
    """That there are screenshots alone, and where they are not all that were published, how many."""
    alone = ", similarity of pixels alone: no HTML of the references" if any(map(_is_screenshot, samples)) else ""
    return alone + remark_on_number(samples)


def remark_on_number(samples: Sequence[Sample]) -> str:
    """How many of the published screenshots there are, where there are some and not all."""
    num = sum(map(_is_screenshot, samples))
    return f", {num:,} of {NUM_PUBLISHED:,} published screenshots" if 0 < num != NUM_PUBLISHED else ""


def start_scorer(folders: Folders) -> PageScorer:
    """What renders and scores answers."""
    from web2code.evaluation.wcgb_visual import VisualScorer  # heavy: only those who score need it

    return VisualScorer(folders)


def start_published_scorer(folders: Folders) -> PageScorer:
    """What looks at pages as the published script does: the window of 1920 x 1080 after one page down."""
    from web2code.evaluation.wcgb_visual import VisualScorer
    from web2code.rendering.modes import PUBLISHED_VIEWPORT

    return VisualScorer(folders, (PUBLISHED_VIEWPORT,), "page_down")


def start_scorer_of_widths(folders: Folders) -> PageScorer:
    """What looks at pages on a desktop and on a telephone."""
    from web2code.evaluation.wcgb_visual import VisualScorer

    return VisualScorer(folders, WIDTHS)


def judged_measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Groups and aspects as a model judged them."""
    from web2code.evaluation.judges import wcgb  # heavy: it brings the endpoint's client

    return wcgb.measures(verdicts)


def model_judge(client: Client, judge: JudgeConfig, one: Answered) -> Verdict:
    """Have a model compare what was rendered with the screenshot."""
    from web2code.evaluation.judges.wcgb import Page, WcgbJudge

    page = Page(one.sample.id, one.sample.images[0], one.picture, *(one.failure or ("rendered", "")))
    return WcgbJudge(client, judge.repeats, judge.max_side).judge(page)


def _sample(name: str, image: bytes, html: str, where: str) -> Sample:
    return Sample(name, (image,), CODE_PROMPT, MAX_NEW_TOKENS, {"html": html, "viewport": _viewport(image, where)})


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    return {path.stem: path for path in sorted(paths) if not is_left_by_macos(path)}


def _screenshots(folder: Path) -> list[Sample]:
    archive = folder / PICTURES
    place = archive if archive.is_file() else folder
    index = ImageIndex([place])
    return [_screenshot(name, load_image(index.find(name)), f"{place / name}") for name in index.names()]


def _screenshot(name: str, image: bytes, where: str) -> Sample:
    facts = {"screenshot": image, "viewport": _viewport(image, where), "reference": "screenshot"}
    return Sample(PurePosixPath(name).stem, (image,), CODE_PROMPT, MAX_NEW_TOKENS, facts)


def _is_screenshot(sample: Sample) -> bool:
    # Rows of results keep no bytes.
    return sample.facts.get("reference") == "screenshot"


def _viewport(image: bytes, where: str) -> dict[str, int]:
    """The window that a page has in its screenshot.

    Raises:
        ValueError: this is no whole picture, or pages are not rendered in such a window.
    """
    try:
        width, height = image_size(image)
        found = {"width": width, "height": min(height, width)}
        Viewport(**found)
    except ValidationError:
        size, needed = f"{width:,} x {height:,} pixels", "windows are 64 to 4,096 pixels wide and no less than 64 high"
        raise ValueError(f"wcgb: {where} has {size}: {needed}; take its screenshot again, or leave it out") from None
    except ValueError as error:
        raise ValueError(f"wcgb: {where}: {error}; take its screenshot again, or leave it out") from None
    return found


WCGB = Benchmark(
    "wcgb",
    "WCGB, visual scores",
    load,
    None,
    measures,
    FETCH,
    start_scorer,
    remark=remark,
)
WCGB_PAGE_DOWN = Benchmark(
    "wcgb_page_down",
    "WCGB, visual scores in the published window",
    load,
    None,
    measures,
    WCGB.fetch,
    start_published_scorer,
    answers_of=WCGB.name,
    remark=remark,
)
WCGB_WIDTHS = Benchmark(
    "wcgb_widths",
    "WCGB, visual scores on desktop and telephone",
    load,
    None,
    measures,
    WCGB.fetch,
    start_scorer_of_widths,
    answers_of=WCGB.name,
    remark=remark,
)
WCGB_JUDGE = Benchmark(
    "wcgb_judge",
    "WCGB, judged by a model",
    load,
    None,
    judged_measures,
    WCGB.fetch,
    model_judge=model_judge,
    answers_of=WCGB.name,
    remark=remark_on_number,
)
# The judge sees what it rendered: its scorer's scores are not given.
WCGB_JUDGE_PUBLISHED = Benchmark(
    "wcgb_judge_published",
    "WCGB, judged by a model in the published window",
    load,
    None,
    judged_measures,
    WCGB.fetch,
    start_published_scorer,
    model_judge,
    answers_of=WCGB.name,
    remark=remark_on_number,
)
WCGB_DESIGN2CODE = Benchmark(
    "wcgb_design2code",
    "WCGB, scores of Design2Code",
    load_with_html,
    None,
    design2code.measures,
    f"{WCGB.fetch}; Design2Code's scores need the HTML",
    design2code.start_scorer,
    answers_of=WCGB.name,
)

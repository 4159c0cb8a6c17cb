"""Design2Code: 484 real web pages to be written anew from their screenshots (arXiv 2403.03163)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from web2code.evaluation.benchmarks.benchmark import Benchmark, Folders, PageScorer, Sample, Verdict
from web2code.evaluation.benchmarks.files import checked
from web2code.evaluation.measure import Measure, mean, parts

PLACEHOLDER = "rick.jpg"
FETCH = (
    f"fetch the test set of SALT-NLP/Design2Code (or Design2Code-HARD) as one folder: N.html, N.png, {PLACEHOLDER}, "
    "the picture that its pages show; for the CLIP score also openai/clip-vit-base-patch32, as the folder clip/ in it"
)
CLIP = "clip"
PROMPT = (
    "Write one HTML file, with its CSS within it, of the web page in this screenshot: the same text, layout, colours "
    f"and sizes. Put {PLACEHOLDER} in the place of every picture. Answer with the file only."
)
MAX_NEW_TOKENS = 4096
MAX_BYTES = 30_000_000
# Pages of the test set, and of Design2Code-HARD.
PUBLISHED = (484, 80)
MEASURES = {
    "final": "Design2Code",
    "elements": "Design2Code without CLIP",
    "block": "Block",
    "text": "Text",
    "position": "Position",
    "colour": "Colour",
    "clip": "CLIP",
    "tree_bleu": "TreeBLEU",
    "tree_precision": "TreeBLEU precision",
    "ssim": "SSIM",
}
WITH_CLIP = frozenset(("final", "clip"))
PARTS = frozenset(("block", "text", "position", "colour", "clip"))


def load(folder: Path) -> Iterator[Sample]:
    """A sample for each page of the test set, in the order of their numbers.

    `facts["html"]` is the reference, and `facts["clip"]` says whether the files allow the CLIP score.

    Raises:
        ValueError: the folder has no page, one without its screenshot or of more than `MAX_BYTES`, or half of CLIP.
    """
    pages = [path for path in folder.glob("*.html") if path.stem.isdecimal()]
    if not pages:
        raise ValueError(f"{folder} has no page N.html: {FETCH}")
    _content(folder / PLACEHOLDER)
    clip = has_clip(folder)
    for path in sorted(pages, key=lambda path: int(path.stem)):
        html, screenshot = (_content(path.with_suffix(suffix)) for suffix in (".html", ".png"))
        facts = {"html": html.decode("utf-8", "replace"), "clip": clip}
        shown = checked(screenshot, str(path.with_suffix(".png")), FETCH)
        yield Sample(path.stem, (shown,), PROMPT, MAX_NEW_TOKENS, facts)


def has_clip(folder: Path) -> bool:
    """Whether a benchmark's folder has the checkpoint that the CLIP score needs.

    Raises:
        ValueError: it has a folder for it that holds none.
    """
    found = (folder / CLIP).is_dir()
    if found and not (folder / CLIP / "config.json").exists():
        raise ValueError(
            f"{folder / CLIP} holds no CLIP checkpoint: fetch openai/clip-vit-base-patch32 into it, or move the folder "
            "away to score without it"
        )
    return found


def start_scorer(folders: Folders) -> PageScorer:
    """What renders and scores answers."""
    from web2code.evaluation.design2code.page_scorer import published_scorer  # heavy: only those who score need it

    return published_scorer(folders)


def start_layout_scorer(folders: Folders) -> PageScorer:
    """What renders each page once and scores it by its layout."""
    from web2code.evaluation.design2code.page_scorer import layout_scorer

    return layout_scorer(folders)


def layout_measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """The mean of each value that a layout gives, under a name of its own: none compares with the published scores."""
    units = [sample.id for sample in samples]
    elements, *others = (
        mean(f"{MEASURES[name]}, by layout", units, [verdict.values.get(name, 0.0) for verdict in verdicts])
        for name in ("elements", "block", "text", "position", "colour")
    )
    return elements, *parts(others)


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """The mean of each value over all pages; what failed counts 0. Those of CLIP where the files allow them."""
    units = [sample.id for sample in samples]
    with_clip = any(sample.facts.get("clip") for sample in samples) or any("clip" in one.values for one in verdicts)
    found = {
        name: mean(title, units, [verdict.values.get(name, 0.0) for verdict in verdicts])
        for name, title in MEASURES.items()
        if with_clip or name not in WITH_CLIP
    }
    return tuple(replace(measure, part=name in PARTS) for name, measure in found.items())


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"{path} is missing: {FETCH}")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is larger than {MAX_BYTES} bytes: fetch it again")
    return path.read_bytes()


DESIGN2CODE = Benchmark(
    "design2code", "Design2Code", load, None, measures, FETCH, start_scorer, published=PUBLISHED
)  # fmt: skip
DESIGN2CODE_LAYOUT = Benchmark(
    "design2code_layout",
    "Design2Code by layout: quicker, and near its scores",
    load,
    None,
    layout_measures,
    FETCH,
    start_layout_scorer,
    answers_of=DESIGN2CODE.name,
    published=PUBLISHED,
)

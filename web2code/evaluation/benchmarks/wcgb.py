"""WCGB: the HTML that a model writes for a screenshot, rendered and compared with the page that it was shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from web2code.artifacts import RECORD
from web2code.config import GROUPS, Viewport
from web2code.data.images import image_size
from web2code.data.pages import read_pages
from web2code.evaluation.answers import extract_html
from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.features import page_features
from web2code.evaluation.measure import Measure, mean
from web2code.evaluation.visual import ASPECTS, score_aspects, score_groups
from web2code.modelling.prompts import CODE_PROMPT
from web2code.rendering import Browsers, Snapshot

MAX_NEW_TOKENS = 3000


def load(folder: Path) -> Iterator[Sample]:
    """Pages with their HTML: those that a dataset holds out, or a folder of `NAME.png` with `NAME.html` beside each.

    Raises:
        ValueError: the folder holds neither, or a page lacks one of its two files.
    """
    if (folder / RECORD).exists():
        yield from (_sample(row["id"], row["image"], row["html"]) for row in read_pages(folder, "eval"))
        return
    documents = {path.stem: path for path in sorted(folder.glob("*.html"))}
    pictures = {path.stem: path for path in sorted(folder.glob("*.png"))}
    if not documents or documents.keys() != pictures.keys():
        lacking = sorted(documents.keys() ^ pictures.keys())
        what = f"{lacking[0]} has only one of its two files" if lacking else "it holds none"
        raise ValueError(f"wcgb: {folder} should be a dataset, or hold NAME.png and NAME.html for each page: {what}")
    for name, path in documents.items():
        yield _sample(name, pictures[name].read_bytes(), path.read_text(encoding="utf-8", errors="replace"))


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Overall and group scores, 0 to 10, then the share that did not render, then the aspects; failed pages score 0."""
    units = [sample.id for sample in samples]
    scored = [
        mean(name, units, [verdict.values.get(name, 0.0) for verdict in verdicts], 10.0) for name in (*GROUPS, *ASPECTS)
    ]
    failed = mean("render failed", units, [verdict.outcome != "scored" for verdict in verdicts])
    return (*scored[: len(GROUPS)], failed, *scored[len(GROUPS) :])


class VisualScorer:
    """Renders a reference and an answer, and computes the ten aspects of `wcgb_visual`."""

    def __init__(self, pictures: Path) -> None:
        self.pictures = pictures
        self.browsers: dict[Viewport, Browsers] = {}
        self.starting = threading.Lock()

    def score(self, sample: Sample, text: str) -> Verdict:
        """An answer's aspects and groups; its picture is kept as `ID.png`.

        Raises:
            ValueError: the reference does not render: the benchmark's files are bad.
        """
        document = extract_html(text)
        if document is None:
            return Verdict(sample.id, "failed", reason="the answer holds no HTML document")
        browsers = self._browsers(Viewport(**sample.facts["viewport"]))
        reference, candidate = (browsers.submit(html) for html in (sample.facts["html"], document))
        expected, found = reference.result(), candidate.result()
        if expected.outcome == "failed":
            raise ValueError(f"wcgb: reference page {sample.id} does not render ({expected.reason})")
        if found.outcome == "failed":
            return Verdict(sample.id, "failed", reason=found.reason)
        self._keep(sample.id, found)
        aspects = score_aspects(page_features(expected), page_features(found))
        return Verdict(sample.id, "scored", {**score_groups(aspects), **aspects})

    def close(self) -> None:
        """End the browsers."""
        for browsers in self.browsers.values():
            browsers.close()

    def _browsers(self, viewport: Viewport) -> Browsers:
        with self.starting:
            if viewport not in self.browsers:
                self.browsers[viewport] = Browsers(viewport=viewport, layout=True).__enter__()
            return self.browsers[viewport]

    def _keep(self, name: str, snapshot: Snapshot) -> None:
        self.pictures.mkdir(parents=True, exist_ok=True)
        (self.pictures / f"{name}.png").write_bytes(snapshot.png)


def _sample(name: str, image: bytes, html: str) -> Sample:
    width, height = image_size(image)
    viewport = {"width": width, "height": min(height, width)}
    return Sample(name, (image,), CODE_PROMPT, MAX_NEW_TOKENS, {"html": html, "viewport": viewport})


WCGB = Benchmark(
    "wcgb",
    "WCGB, visual scores",
    load,
    None,
    measures,
    "a dataset that `web2code data build` made, or NAME.png with NAME.html beside it for each page",
    VisualScorer,
)

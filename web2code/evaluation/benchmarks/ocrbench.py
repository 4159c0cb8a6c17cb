"""OCRBench (arXiv 2305.07895): 1,000 tasks of text recognition and of reading pictures, a point each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import Judged, average, judged, outcomes, units
from web2code.evaluation.benchmarks.files import distinct, picture, read_rows, truths
from web2code.evaluation.benchmarks.verdicts import blank, bounded, verdict
from web2code.evaluation.measure import Measure
from web2code.evaluation.metrics.containment import contains, contains_formula

FETCH = "fetch the Parquet file of the dataset echo840/OCRBench (test-*.parquet) and put it into the folder"
COLUMNS = ("dataset", "question", "question_type", "answer", "image")
FORMULAS = "HME100k"
RECOGNITION = (
    "Regular Text Recognition", "Irregular Text Recognition", "Artistic Text Recognition", "Handwriting Recognition",
    "Digit String Recognition", "Non-Semantic Text Recognition",
)  # fmt: skip
PARTS = {
    "text recognition": RECOGNITION,
    "scene text VQA": ("Scene Text-centric VQA",),
    "document VQA": ("Doc-oriented VQA",),
    "key information extraction": ("Key Information Extraction",),
    "handwritten formulas": ("Handwritten Mathematical Expression Recognition",),
}
MAX_NEW_TOKENS = 128


def load(folder: Path) -> Iterator[Sample]:
    """Samples in the order of the file."""
    return distinct(_samples(folder))


def _samples(folder: Path) -> Iterator[Sample]:
    known = {kind for kinds in PARTS.values() for kind in kinds}
    for number, row in enumerate(read_rows(folder, FETCH, COLUMNS, "test")):
        if row["question_type"] not in known:
            raise ValueError(f"{folder} has the type {row['question_type']!r}, which OCRBench has not: {FETCH}")
        facts = {
            "answers": truths(row["answer"], f"row {number}", folder), "dataset": row["dataset"],
            "type": row["question_type"],
        }  # fmt: skip
        image = picture(row["image"], folder, f"row {number}")
        yield Sample(str(number), (image,), row["question"].strip(), MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By containment; formulas without regard to white space."""
    match = contains_formula if sample.facts["dataset"] == FORMULAS else contains
    return verdict(sample, blank(answer), {"correct": match(answer, sample.facts["answers"])}, {})


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Points in all, of the five parts and of the six kinds of recognition, and the share of right answers."""
    pairs = judged(samples, verdicts)
    kinds = {kind: (kind,) for kind in RECOGNITION}
    return (
        points("score", pairs),
        *(
            points(name, [pair for pair in pairs if pair[0].facts["type"] in types])
            for name, types in (PARTS | kinds).items()
        ),
        average("accuracy", pairs, "correct"),
        *outcomes(pairs),
    )


def points(name: str, pairs: Judged) -> Measure:
    """How many answers are right, of as many as there are."""
    terms = np.array([[given.values.get("correct", 0.0)] for _, given in pairs]).reshape(len(pairs), 1)
    return Measure(name, units(pairs), terms, total, float(len(pairs)))


def total(sums: np.ndarray) -> np.ndarray:
    """The only column."""
    return sums[..., 0]


OCRBENCH = Benchmark("ocrbench", "OCRBench", load, judge, measures, FETCH)

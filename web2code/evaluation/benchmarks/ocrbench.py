"""OCRBench (arXiv 2305.07895): 1,000 tasks of text recognition and of reading pictures, a point each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from web2code.evaluation.benchmarks import tables
from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import Judged, average, judged, outcomes, units
from web2code.evaluation.benchmarks.files import Row, picture, question, read_rows, samples_of, truths
from web2code.evaluation.benchmarks.verdicts import blank, bounded, verdict
from web2code.evaluation.measure import Measure, parts
from web2code.evaluation.metrics.containment import contains, contains_formula

FETCH = (
    "fetch the Parquet file of the dataset echo840/OCRBench (test-*.parquet), or OCRBench.tsv of VLMEvalKit, "
    "and put it into the folder"
)
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
    rows = read_rows(folder, FETCH, COLUMNS, "test", tables.OCRBENCH)
    return samples_of(rows, folder, FETCH, partial(_sample, folder))


def _sample(folder: Path, number: int, row: Row) -> Sample:
    if not any(row["question_type"] in kinds for kinds in PARTS.values()):
        raise ValueError(f"there is no type {row['question_type']!r}")
    facts = {"answers": truths(row["answer"]), "dataset": row["dataset"], "type": row["question_type"]}
    return Sample(str(number), (picture(row["image"], folder),), question(row), MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By containment; formulas without regard to white space."""
    match = contains_formula if sample.facts["dataset"] == FORMULAS else contains
    return verdict(sample, blank(answer), {"correct": match(answer, sample.facts["answers"])}, {})


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Points in all, of the five parts and of the six kinds of recognition, and the share of right answers."""
    pairs = judged(samples, verdicts)

    def of_each(types_of: Mapping[str, Sequence[str]]) -> Iterator[Measure]:
        for name, types in types_of.items():
            if kept := [pair for pair in pairs if pair[0].facts["type"] in types]:
                yield points(name, kept)

    return (
        points("score", pairs),
        *parts(of_each(PARTS)),
        *of_each({kind: (kind,) for kind in RECOGNITION}),
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


OCRBENCH = Benchmark("ocrbench", "OCRBench", load, judge, measures, FETCH, published=(1_000,))

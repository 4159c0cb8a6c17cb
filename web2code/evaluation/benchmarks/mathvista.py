"""MathVista (arXiv 2310.02255): mathematics in pictures, with options or with a number or list as the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from web2code.evaluation.benchmarks import tables
from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import average, grouped, judged, outcomes
from web2code.evaluation.benchmarks.files import Row, picture, question, read_rows, samples_of, truths
from web2code.evaluation.benchmarks.verdicts import bounded, verdict
from web2code.evaluation.measure import Measure
from web2code.evaluation.metrics.mathvista import equal, extract, matches_lmms_eval

FETCH = (
    "fetch the testmini Parquet file of the dataset AI4Math/MathVista (testmini-*.parquet), or "
    "MathVista_MINI.tsv of VLMEvalKit, and put it into the folder"
)
COLUMNS = ("pid", "decoded_image", "choices", "precision", "answer", "question_type", "answer_type", "query")
MAX_NEW_TOKENS = 1024


def load(folder: Path) -> Iterator[Sample]:
    """Samples of testmini in the order of the files."""
    rows = read_rows(folder, FETCH, COLUMNS, "testmini", tables.MATHVISTA)
    return samples_of(rows, folder, FETCH, partial(_sample, folder))


def _sample(folder: Path, number: int, row: Row) -> Sample:
    facts = {
        "answer": truths(row["answer"])[0], "choices": tuple(row["choices"] or ()), "type": row["answer_type"],
        "precision": int(row["precision"] or 0), "task": (row.get("metadata") or {}).get("task") or "unknown",
    }  # fmt: skip
    image = picture(row["decoded_image"], folder)
    return Sample(str(row["pid"]), (image,), question(row, "query"), MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By the choice, number or list that the answer gives, and by lmms-eval's rule on all of the answer."""
    facts = sample.facts
    truth, kind, precision = facts["answer"], facts["type"], facts["precision"]
    found = extract(answer, facts["choices"], kind)
    ours = {"correct": found is not None and equal(found, truth, kind, precision)}
    published = {"lmms-eval": matches_lmms_eval(answer, truth, facts["choices"], kind, precision)}
    return verdict(sample, "" if found is not None else f"no answer of type {kind}", ours, published)


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Accuracy over all questions, and of each task and type of answer."""
    pairs = judged(samples, verdicts)
    return (
        average("accuracy", pairs, "correct"),
        average("accuracy (lmms-eval)", pairs, "lmms-eval"),
        *grouped("accuracy", pairs, "correct", "task"),
        *grouped("accuracy", pairs, "correct", "type"),
        *outcomes(pairs),
    )


MATHVISTA = Benchmark("mathvista", "MathVista, testmini", load, judge, measures, FETCH, published=(1_000,))

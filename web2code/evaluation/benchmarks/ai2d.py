"""AI2D (arXiv 1603.07396): questions with options about diagrams of science books."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from web2code.evaluation.benchmarks import tables
from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import average, judged, outcomes
from web2code.evaluation.benchmarks.files import Row, picture, question, read_rows, samples_of
from web2code.evaluation.benchmarks.verdicts import LETTER, bounded, lettered_lines, verdict
from web2code.evaluation.measure import Measure
from web2code.evaluation.metrics.choices import infer_choice, lettered, matches_lmms_eval_ai2d

FETCH = (
    "fetch the Parquet files of the dataset lmms-lab/ai2d (test-*.parquet), or AI2D_TEST.tsv of VLMEvalKit, and put "
    "them into the folder"
)
COLUMNS = ("question", "options", "answer", "image")
MAX_NEW_TOKENS = 16


def load(folder: Path) -> Iterator[Sample]:
    """Samples in the order of the files."""
    rows = read_rows(folder, FETCH, COLUMNS, "test", tables.AI2D)
    return samples_of(rows, folder, FETCH, partial(_sample, folder))


def _sample(folder: Path, number: int, row: Row) -> Sample:
    options = lettered(row["options"])
    facts = {"answer": dict(enumerate(options))[int(row["answer"])], "options": options}
    prompt = f"{question(row)}\n{lettered_lines(options)}{LETTER}"
    return Sample(str(number), (picture(row["image"], folder),), prompt, MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By the option that the answer names, and by lmms-eval's rule."""
    found, truth = infer_choice(answer, sample.facts["options"]), sample.facts["answer"]
    published = {"lmms-eval": matches_lmms_eval_ai2d(answer, truth)}
    return verdict(sample, "" if found else "no option is named", {"correct": found == truth}, published)


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Accuracy."""
    pairs = judged(samples, verdicts)
    return (
        average("accuracy", pairs, "correct"),
        average("accuracy (lmms-eval)", pairs, "lmms-eval"),
        *outcomes(pairs),
    )


AI2D = Benchmark("ai2d", "AI2D", load, judge, measures, FETCH, published=(3_088,))

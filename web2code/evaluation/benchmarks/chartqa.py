"""ChartQA (arXiv 2203.10244): questions about charts, half of them written by people, half augmented."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from web2code.evaluation.benchmarks import tables
from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import average, containment, judged, outcomes, select
from web2code.evaluation.benchmarks.files import Row, picture, question, read_rows, samples_of, truths
from web2code.evaluation.benchmarks.verdicts import SHORT, blank, bounded, verdict
from web2code.evaluation.measure import Measure, parts
from web2code.evaluation.metrics.containment import contains, contains_words, long_truths
from web2code.evaluation.metrics.relaxed import relaxed_match, relaxed_match_lmms_eval

FETCH = (
    "fetch the Parquet files of the dataset lmms-lab/ChartQA (test-*.parquet), or ChartQA_TEST.tsv of VLMEvalKit, and "
    "put them into the folder"
)
COLUMNS = ("type", "question", "answer", "image")
MAX_NEW_TOKENS = 16


def load(folder: Path) -> Iterator[Sample]:
    """Samples in the order of the files."""
    rows = read_rows(folder, FETCH, COLUMNS, "test", tables.CHARTQA)
    return samples_of(rows, folder, FETCH, partial(_sample, folder))


def _sample(folder: Path, number: int, row: Row) -> Sample:
    # As published: what is not of people's is augmented.
    half = "human" if row["type"] == "human_test" else "augmented"
    facts = {"answers": truths(row["answer"]), "half": half}
    return Sample(f"{half}/{number}", (picture(row["image"], folder),), question(row) + SHORT, MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By relaxed match, and by containment."""
    known = sample.facts["answers"]
    ours = {"relaxed": any(relaxed_match(answer, truth) for truth in known), "words": contains_words(answer, known)}
    published = {
        "lmms-eval": any(relaxed_match_lmms_eval(answer, truth) for truth in known),
        "substring": contains(answer, long_truths(known)),
    }
    return verdict(sample, blank(answer), ours, published)


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Relaxed accuracy over all charts and over each half, then containment."""
    pairs = judged(samples, verdicts)
    halves = {half: kept for half in ("human", "augmented") if (kept := select(pairs, "half", half))}
    return (
        average("relaxed accuracy", pairs, "relaxed"),
        average("relaxed accuracy (lmms-eval)", pairs, "lmms-eval"),
        *parts(average(f"relaxed accuracy, {half}", kept, "relaxed") for half, kept in halves.items()),
        *(average(f"relaxed accuracy, {half} (lmms-eval)", kept, "lmms-eval") for half, kept in halves.items()),
        *containment(pairs),
        *outcomes(pairs),
    )


CHARTQA = Benchmark("chartqa", "ChartQA", load, judge, measures, FETCH, published=(2_500,))

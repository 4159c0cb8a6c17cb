"""POPE (arXiv 2305.10355): whether an object is in a picture, asked in three splits of 3,000 questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import Judged, average, columns, judged, outcomes, select, units
from web2code.evaluation.benchmarks.files import Row, picture, question, read_rows, samples_of, yes_or_no
from web2code.evaluation.benchmarks.verdicts import SHORT, bounded, verdict
from web2code.evaluation.measure import Measure, mean
from web2code.evaluation.metrics.yes_no import confusion, f1, parse_answer, parse_lmms_eval_pope, precision, recall

FETCH = "fetch the Parquet files of the dataset lmms-lab/POPE (test-*.parquet) and put them into the folder"
COLUMNS = ("question_id", "question", "answer", "image", "category")
MAX_NEW_TOKENS = 128
FIGURES = (("F1", f1), ("precision", precision), ("recall", recall))


def load(folder: Path) -> Iterator[Sample]:
    """Samples in the order of the files."""
    return samples_of(read_rows(folder, FETCH, COLUMNS, "test"), folder, FETCH, partial(_sample, folder))


def _sample(folder: Path, number: int, row: Row) -> Sample:
    facts = {"answer": yes_or_no(row["answer"]), "split": row["category"]}
    prompt = question(row) + SHORT
    image = picture(row["image"], folder)
    return Sample(f"{row['category']}/{row['question_id']}", (image,), prompt, MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By the first whole word yes or no, and by lmms-eval's equality."""
    truth = sample.facts["answer"]
    parsed, published = parse_answer(answer), parse_lmms_eval_pope(answer)
    positive, false, _ = confusion(parsed, truth)
    ours = {"correct": parsed == truth, "yes": parsed == "yes", "positive": positive, "false": false}
    theirs = {
        "lmms-eval correct": published == truth,
        "lmms-eval positive": published == truth == "yes",
        "lmms-eval false": published == "yes" != truth,
        # There an answer to a yes that is neither yes nor no is missed by recall.
        "lmms-eval missed": published == "no" != truth,
    }
    return verdict(sample, "neither yes nor no" if parsed == "unparsed" else "", ours, theirs)


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """F1 and its parts over all questions, by our rule and lmms-eval's, and each split's."""
    pairs = judged(samples, verdicts)
    splits = sorted({sample.facts["split"] for sample in samples})
    return (
        *(Measure(name, units(pairs), counts(pairs), figure) for name, figure in FIGURES),
        average("accuracy", pairs, "correct"),
        average("yes ratio", pairs, "yes"),
        *(Measure(f"{name} (lmms-eval)", units(pairs), published_counts(pairs), figure) for name, figure in FIGURES),
        average("accuracy (lmms-eval)", pairs, "lmms-eval correct"),
        truth_ratio(pairs),
        *(measure for split in splits for measure in of_split(split, select(pairs, "split", split))),
        *outcomes(pairs),
    )


def of_split(split: str, pairs: Judged) -> tuple[Measure, ...]:
    """F1, accuracy and yes ratio of one split."""
    return (
        Measure(f"F1, {split}", units(pairs), counts(pairs), f1),
        average(f"accuracy, {split}", pairs, "correct"),
        average(f"yes ratio, {split}", pairs, "yes"),
    )


def counts(pairs: Judged) -> np.ndarray:
    """For each sample (true positive, false positive, missed positive); whatever is no yes misses a yes."""
    terms = []
    for sample, given in pairs:
        positive = given.values.get("positive", 0.0)
        missed = float(sample.facts["answer"] == "yes") - positive
        terms.append((positive, given.values.get("false", 0.0), missed))
    return columns(terms, 3)


def published_counts(pairs: Judged) -> np.ndarray:
    """The same as lmms-eval counts."""
    keys = ("lmms-eval positive", "lmms-eval false", "lmms-eval missed")
    return columns([[given.values.get(key, 0.0) for key in keys] for _, given in pairs], 3)


def truth_ratio(pairs: Judged) -> Measure:
    """What lmms-eval calls the yes ratio is that of the true answers."""
    truths = [sample.facts["answer"] == "yes" for sample, _ in pairs]
    return mean("yes ratio (lmms-eval)", units(pairs), truths)


POPE = Benchmark("pope", "POPE", load, judge, measures, FETCH)

"""POPE (arXiv 2305.10355): whether an object is in a picture, asked in three splits of 3,000 questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from web2code.evaluation.benchmarks import tables
from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import Judged, average, columns, judged, outcomes, select, units
from web2code.evaluation.benchmarks.files import Row, picture, question, read_rows, samples_of, yes_or_no
from web2code.evaluation.benchmarks.verdicts import SHORT, bounded, verdict
from web2code.evaluation.measure import Measure, mean
from web2code.evaluation.metrics.yes_no import (
    confusion,
    f1,
    parse_answer,
    parse_lmms_eval_pope,
    parse_published_pope,
    precision,
    recall,
)

FETCH = (
    "fetch the Parquet files of the dataset lmms-lab/POPE (test-*.parquet), or POPE.tsv of VLMEvalKit, and put "
    "them into the folder"
)
COLUMNS = ("question_id", "question", "answer", "image", "category")
MAX_NEW_TOKENS = 128
FIGURES = (("F1", f1), ("precision", precision), ("recall", recall))


def load(folder: Path) -> Iterator[Sample]:
    """Samples in the order of the files."""
    rows = read_rows(folder, FETCH, COLUMNS, "test", tables.POPE)
    return samples_of(rows, folder, FETCH, partial(_sample, folder))


def _sample(folder: Path, number: int, row: Row) -> Sample:
    facts = {"answer": yes_or_no(row["answer"]), "split": row["category"]}
    prompt = question(row) + SHORT
    image = picture(row["image"], folder)
    return Sample(f"{row['category']}/{row['question_id']}", (image,), prompt, MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By the first whole word yes or no, by lmms-eval's equality, and by POPE's own script."""
    truth = sample.facts["answer"]
    parsed = parse_answer(answer)
    readings = {"lmms-eval": parse_lmms_eval_pope(answer), "published": parse_published_pope(answer)}
    published = {
        key: value for rule, found in readings.items() for key, value in values(f"{rule} ", found, truth).items()
    }
    # There an answer to a yes that is neither yes nor no is not missed by recall.
    published["lmms-eval missed"] = readings["lmms-eval"] == "no" != truth
    return verdict(sample, "neither yes nor no" if parsed == "unparsed" else "", values("", parsed, truth), published)


def values(prefix: str, found: str, truth: str) -> dict[str, float]:
    """What figures are computed from, of an answer as a rule reads it; whatever is no yes misses one."""
    positive, false, missed = confusion(found, truth)
    return {
        f"{prefix}correct": found == truth,
        f"{prefix}yes": found == "yes",
        f"{prefix}positive": positive,
        f"{prefix}false": false,
        f"{prefix}missed": missed,
    }


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """F1 and its parts over all questions, by our rule and published ones, and each split's."""
    pairs = judged(samples, verdicts)
    splits = sorted({sample.facts["split"] for sample in samples})
    return (
        *(Measure(name, units(pairs), counts(pairs), figure) for name, figure in FIGURES),
        average("accuracy", pairs, "correct"),
        average("yes ratio", pairs, "yes", "neither"),
        *(
            Measure(f"{name} (lmms-eval)", units(pairs), counts(pairs, "lmms-eval "), figure)
            for name, figure in FIGURES
        ),
        average("accuracy (lmms-eval)", pairs, "lmms-eval correct"),
        truth_ratio(pairs),
        mean_of_splits(pairs, splits),
        average("accuracy (published)", pairs, "published correct"),
        average("yes ratio (published)", pairs, "published yes", "neither"),
        *(measure for split in splits for measure in of_split(split, select(pairs, "split", split))),
        *outcomes(pairs),
    )


def of_split(split: str, pairs: Judged) -> tuple[Measure, ...]:
    """F1, accuracy and yes ratio of one split."""
    return (
        Measure(f"F1, {split}", units(pairs), counts(pairs), f1, part=True),
        average(f"accuracy, {split}", pairs, "correct"),
        average(f"yes ratio, {split}", pairs, "yes", "neither"),
    )


def mean_of_splits(pairs: Judged, splits: Sequence[str]) -> Measure:
    """The mean of the splits' F1 by POPE's own script, as LLaVA's papers give it."""
    terms = np.zeros((len(pairs), len(splits), 3))
    for number, ((sample, _), row) in enumerate(zip(pairs, counts(pairs, "published "), strict=True)):
        terms[number, splits.index(sample.facts["split"])] = row

    def figure(sums: np.ndarray) -> np.ndarray:
        return f1(sums.reshape(*sums.shape[:-1], len(splits), 3)).mean(axis=-1)

    return Measure("F1, mean of splits (published)", units(pairs), terms.reshape(len(pairs), 3 * len(splits)), figure)


def counts(pairs: Judged, prefix: str = "") -> np.ndarray:
    """For each sample (true positive, false positive, missed positive); an answer that is not there misses a yes."""
    terms = []
    for sample, given in pairs:
        missed = 1.0 if sample.facts["answer"] == "yes" else 0.0
        found = [given.values.get(f"{prefix}{key}", 0.0) for key in ("positive", "false")]
        terms.append((*found, given.values.get(f"{prefix}missed", missed)))
    return columns(terms, 3)


def truth_ratio(pairs: Judged) -> Measure:
    """What lmms-eval calls the yes ratio is that of the true answers."""
    truths = [sample.facts["answer"] == "yes" for sample, _ in pairs]
    return mean("yes ratio (lmms-eval)", units(pairs), truths, better="neither")


POPE = Benchmark("pope", "POPE", load, judge, measures, FETCH, published=(9_000,))

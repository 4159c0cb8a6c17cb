"""WUB, the Webpage Understanding Benchmark of Web2Code: 5,990 yes/no questions about 1,198 screenshots."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from web2code.data.images import ImageIndex
from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import Judged, average, columns, judged, outcomes, units
from web2code.evaluation.benchmarks.files import Row, indexed_picture, question, samples_of, yes_or_no
from web2code.evaluation.benchmarks.verdicts import bounded, verdict
from web2code.evaluation.measure import Measure, by_cluster, ratio
from web2code.evaluation.metrics.yes_no import balanced_accuracy, majority, matches_published_wub, parse_answer

QUESTIONS, PICTURES = "Web2Code_eval.jsonl", "Web2Code_image_eval.zip"
FETCH = f"fetch {QUESTIONS} and {PICTURES} of the dataset MBZUAI/Web2Code and put both into the folder"
MAX_NEW_TOKENS = 512


def load(folder: Path) -> Iterator[Sample]:
    """Samples in the order of the file of questions."""
    path, archive = folder / QUESTIONS, folder / PICTURES
    if not path.is_file():
        raise ValueError(f"{path} is missing: {FETCH}")
    images = ImageIndex([archive] if archive.exists() else [folder])
    return samples_of(_rows(path), path, FETCH, partial(_sample, images))


def _rows(path: Path) -> Iterator[Row]:
    try:
        with open(path, encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        yield json.loads(line)
                    except (json.JSONDecodeError, RecursionError):
                        raise ValueError(f"{path}, line {number} is no JSON: {FETCH}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8: {FETCH}") from None


def _sample(images: ImageIndex, number: int, row: Row) -> Sample:
    facts = {"answer": yes_or_no(row["A"])}
    image = indexed_picture(images, row["image"])
    return Sample(f"{row['image']}/{row['question_id']}", (image,), question(row, "Q"), MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By the first whole word yes or no, and by the published script."""
    parsed, truth = parse_answer(answer), sample.facts["answer"]
    reason = "neither yes nor no" if parsed == "unparsed" else ""
    ours = {"correct": parsed == truth, "yes": parsed == "yes"}
    return verdict(sample, reason, ours, {"published": matches_published_wub(answer, truth)})


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Accuracy, and what shows whether a model merely prefers one answer.

    Units are screenshots: the five questions about one are drawn, and swapped between two models, together.
    """
    pairs = judged(samples, verdicts)
    by_question = (
        average("accuracy", pairs, "correct"),
        published_accuracy(pairs),
        Measure("balanced accuracy", units(pairs), by_class(pairs), balanced_accuracy, part=True),
        average("yes ratio", pairs, "yes", "neither"),
        Measure("always the commoner answer", units(pairs), by_class(pairs), majority, better="neither"),
        *outcomes(pairs),
    )
    screenshots = [sample.id.rpartition("/")[0] for sample in samples]
    return tuple(by_cluster(measure, screenshots) for measure in by_question)


def published_accuracy(pairs: Judged) -> Measure:
    """The script's own figure: a question without an answer is not among its rows."""
    terms = [(given.values.get("published", 0.0), given.outcome != "no_answer") for _, given in pairs]
    return Measure("accuracy (published)", units(pairs), columns(terms, 2), ratio)


def by_class(pairs: Judged) -> np.ndarray:
    """For each sample (right yes, yes, right no, no), by the true answer."""
    terms = []
    for sample, given in pairs:
        of_class = (given.values.get("correct", 0.0), 1.0)
        terms.append((*of_class, 0.0, 0.0) if sample.facts["answer"] == "yes" else (0.0, 0.0, *of_class))
    return columns(terms, 4)


WUB = Benchmark("wub", "WUB (Web2Code)", load, judge, measures, FETCH, published=(5_990,))

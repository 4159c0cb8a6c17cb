"""ScienceQA (arXiv 2209.09513): school questions with options, with and without a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import average, grouped, judged, outcomes, select
from web2code.evaluation.benchmarks.files import distinct, picture, read_rows
from web2code.evaluation.benchmarks.verdicts import LETTER, bounded, lettered_lines, verdict
from web2code.evaluation.measure import Measure
from web2code.evaluation.metrics.choices import infer_choice, lettered, matches_lmms_eval_scienceqa

FETCH = "fetch the test Parquet files of the dataset lmms-lab/ScienceQA (ScienceQA-{part}) and put them into the folder"
COLUMNS = ("image", "question", "choices", "answer", "hint")
MAX_NEW_TOKENS = 16


def load(folder: Path, part: str) -> Iterator[Sample]:
    """Samples in the order of the files; of the part `IMG` those with a picture."""
    return distinct(_samples(folder, part))


def _samples(folder: Path, part: str) -> Iterator[Sample]:
    for number, row in enumerate(read_rows(folder, FETCH.format(part=part), COLUMNS, "test")):
        if part == "IMG" and not row["image"]:
            continue
        options = lettered(row["choices"])
        context = f"Context: {row['hint']}\n" if row["hint"] else ""
        images = (picture(row["image"], folder, f"row {number}"),) if row["image"] else ()
        facts = {
            "answer": list(options)[row["answer"]], "options": options, "images": len(images),
            "subject": row.get("subject") or "unknown",
        }  # fmt: skip
        prompt = f"{context}{row['question']}\n{lettered_lines(options)}{LETTER}"
        yield Sample(str(number), images, prompt, MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By the option that the answer names, and by lmms-eval's rule."""
    found, truth = infer_choice(answer, sample.facts["options"]), sample.facts["answer"]
    published = {"lmms-eval": matches_lmms_eval_scienceqa(answer, truth)}
    return verdict(sample, "" if found else "no option is named", {"correct": found == truth}, published)


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Accuracy over all questions, over those with a picture, and of each subject."""
    pairs = judged(samples, verdicts)
    return (
        average("accuracy", pairs, "correct"),
        average("accuracy (lmms-eval)", pairs, "lmms-eval"),
        average("accuracy, with a picture", select(pairs, "images", 1), "correct"),
        average("accuracy, without a picture", select(pairs, "images", 0), "correct"),
        *grouped("accuracy", pairs, "correct", "subject"),
        *outcomes(pairs),
    )


def _benchmark(name: str, title: str, part: str) -> Benchmark:
    return Benchmark(name, title, partial(load, part=part), judge, measures, FETCH.format(part=part))


SCIENCEQA = _benchmark("scienceqa", "ScienceQA", "FULL")
SCIENCEQA_IMG = _benchmark("scienceqa_img", "ScienceQA, questions with a picture", "IMG")

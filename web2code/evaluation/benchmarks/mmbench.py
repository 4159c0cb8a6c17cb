"""MMBench (arXiv 2307.06281): a question counts when it is answered right in every rotation of its options."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random

from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import average, judged, outcomes
from web2code.evaluation.benchmarks.files import (
    NOTHING,
    Row,
    configuration_folder,
    picture,
    question,
    read_rows,
    samples_of,
    truths,
)
from web2code.evaluation.benchmarks.verdicts import LETTER, bounded, lettered_lines, verdict
from web2code.evaluation.measure import Measure, mean
from web2code.evaluation.metrics.choices import infer_choice, infer_lmms_eval_mmbench

FETCH = (
    "fetch MMBench_DEV_EN.tsv of VLMEvalKit, or the dev Parquet files of the dataset lmms-lab/MMBench "
    "(en/dev-*.parquet), and put it into the folder"
)
COLUMNS = ("index", "question", "answer", "A", "B", "image")
# A rotation has its question's index and a multiple of this.
ROTATION = 1_000_000
MAX_NEW_TOKENS = 1024


def load(folder: Path) -> Iterator[Sample]:
    """Samples, rotations included, in the order of the file.

    Raises:
        ValueError: the file has no rotation, or is of another language.
    """
    rotated = False
    rows = read_rows(configuration_folder(folder, FETCH, "en", ("cn", "cc")), FETCH, COLUMNS, "dev")
    for sample in samples_of(rows, folder, FETCH, partial(_sample, folder)):
        rotated |= sample.facts["rotation"] > 0
        yield sample
    if not rotated:
        raise ValueError(f"{folder} has no rotation of the options, which CircularEval needs: {FETCH}")


def _sample(folder: Path, number: int, row: Row) -> Sample:
    options = {letter: str(row[letter]) for letter in "ABCDE" if row.get(letter) not in NOTHING}
    hint = "" if row.get("hint") in NOTHING else f"{row['hint']}\n"
    index = int(row["index"])
    facts = {
        "answer": truths(row["answer"])[0], "options": options, "question": index % ROTATION,
        "rotation": index // ROTATION, "category": str(row.get("category") or "unknown"),
        "ability": str(row.get("l2-category") or row.get("L2-category") or "unknown"),
    }  # fmt: skip
    prompt = f"{hint}{question(row)}\n{lettered_lines(options)}{LETTER}"
    return Sample(str(row["index"]), (picture(row["image"], folder),), prompt, MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By the option that the answer names, and by lmms-eval's rule without a judge: it draws where it finds none.

    Its draw, among the options and a wrong one more, here depends on the question alone.
    """
    options, truth = sample.facts["options"], sample.facts["answer"]
    found = infer_choice(answer, options)
    drawn = infer_lmms_eval_mmbench(answer, options) or Random(sample.id).choice([*options, "E"])
    reason = "" if found else "no option is named"
    return verdict(sample, reason, {"correct": found == truth}, {"lmms-eval": drawn == truth})


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """CircularEval over all questions, of each ability and category, and the mean over all rotations."""
    pairs = judged(samples, verdicts)
    by_question: dict[int, list[tuple[Sample, Verdict]]] = defaultdict(list)
    for sample, given in pairs:
        by_question[sample.facts["question"]].append((sample, given))
    groups = list(by_question.values())

    def circular(name: str, kept: Sequence[Sequence[tuple[Sample, Verdict]]], key: str) -> Measure:
        names = [str(group[0][0].facts["question"]) for group in kept]
        return mean(name, names, [min(given.values.get(key, 0.0) for _, given in group) for group in kept])

    def of_each(fact: str) -> Iterator[Measure]:
        for value in sorted({group[0][0].facts[fact] for group in groups}):
            yield circular(f"accuracy, {value}", [one for one in groups if one[0][0].facts[fact] == value], "correct")

    return (
        circular("accuracy", groups, "correct"),
        circular("accuracy (lmms-eval)", groups, "lmms-eval"),
        average("accuracy, each rotation", pairs, "correct"),
        *of_each("ability"),
        *of_each("category"),
        *outcomes(pairs),
    )


MMBENCH = Benchmark("mmbench", "MMBench, English dev", load, judge, measures, FETCH, published=(4_329,))

"""MMBench (arXiv 2307.06281): a question counts when it is answered right in every rotation of its options."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
    true_letter,
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
NUM_PUBLISHED = 4_329
MAX_NAMED = 5
MAX_NEW_TOKENS = 1024


def load(folder: Path) -> Iterator[Sample]:
    """Samples in the order of the file, but all `rotations` of a question together: the first N have whole questions.

    Raises:
        ValueError: the file lacks rotations, or is of another language.
    """
    rows = read_rows(configuration_folder(folder, FETCH, "en", ("cn", "cc")), FETCH, COLUMNS, "dev")
    questions: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples_of(rows, folder, FETCH, partial(_sample, folder)):
        questions[sample.facts["question"]].append(sample)
    _require_rotations(folder, questions)
    for group in questions.values():
        for sample in group:
            yield replace(sample, facts=sample.facts | {"rotations": len(group)})


def _require_rotations(folder: Path, questions: Mapping[int, Sequence[Sample]]) -> None:
    there = {(number, sample.facts["rotation"]) for number, group in questions.items() for sample in group}
    missing = [
        rotation * ROTATION + number
        for number, group in questions.items()
        for rotation in range(len(group[0].facts["options"]))
        if (number, rotation) not in there
    ]
    num = sum(map(len, questions.values()))
    if missing and num != NUM_PUBLISHED:
        named = ", ".join(map(str, missing[:MAX_NAMED])) + (", ..." if len(missing) > MAX_NAMED else "")
        raise ValueError(
            f"{folder} has {num:,} rows and not every rotation of the options, which CircularEval needs: it lacks "
            f"index {named}; {FETCH}"
        )


def _sample(folder: Path, number: int, row: Row) -> Sample:
    options = {letter: str(row[letter]) for letter in "ABCDE" if row.get(letter) not in NOTHING}
    hint = "" if row.get("hint") in NOTHING else f"{row['hint']}\n"
    index = int(row["index"])
    facts = {
        "answer": true_letter(row["answer"], options), "options": options, "question": index % ROTATION,
        "rotation": index // ROTATION, "category": str(row.get("category") or "unknown"),
        "ability": str(row.get("l2-category") or row.get("L2-category") or "unknown"),
    }  # fmt: skip
    prompt = f"{hint}{question(row)}\n{lettered_lines(options)}{LETTER}"
    return Sample(str(row["index"]), (picture(row["image"], folder),), prompt, MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By the option that the answer names, and by lmms-eval's rule without a judge: it draws where it finds none.

    Its draw, from A to E whatever options there are, here depends on the question alone.
    """
    options, truth = sample.facts["options"], sample.facts["answer"]
    found = infer_choice(answer, options)
    drawn = infer_lmms_eval_mmbench(answer, options) or Random(sample.id).choice("ABCDE")
    reason = "" if found else "no option is named"
    return verdict(sample, reason, {"correct": found == truth}, {"lmms-eval": drawn == truth})


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """CircularEval over the questions of which every rotation was asked, of each ability and category.

    Then the mean over all rotations, which alone is there where there is no such question.
    """
    pairs = judged(samples, verdicts)
    by_question: dict[int, list[tuple[Sample, Verdict]]] = defaultdict(list)
    for sample, given in pairs:
        by_question[sample.facts["question"]].append((sample, given))
    whole = _whole_questions(samples)
    groups = [group for question, group in by_question.items() if question in whole]

    def circular(name: str, kept: Sequence[Sequence[tuple[Sample, Verdict]]], key: str) -> Measure:
        names = [str(group[0][0].facts["question"]) for group in kept]
        return mean(name, names, [min(given.values.get(key, 0.0) for _, given in group) for group in kept])

    def of_each(fact: str) -> Iterator[Measure]:
        for value in sorted({group[0][0].facts[fact] for group in groups}):
            yield circular(f"accuracy, {value}", [one for one in groups if one[0][0].facts[fact] == value], "correct")

    main = [circular("accuracy", groups, "correct"), circular("accuracy (lmms-eval)", groups, "lmms-eval")]
    return (
        *(main if groups else ()),
        average("accuracy, each rotation", pairs, "correct"),
        *of_each("ability"),
        *of_each("category"),
        *outcomes(pairs),
    )


def remark(samples: Sequence[Sample]) -> str:
    """How many questions do not count, as not all of their rotations were asked."""
    total = len({sample.facts["question"] for sample in samples})
    num = total - len(_whole_questions(samples))
    return f", not counting {num:,} of {total:,} questions: not all of their rotations were asked" if num else ""


def _whole_questions(samples: Sequence[Sample]) -> set[int]:
    """The questions of which there is every rotation that the file has."""
    asked = Counter(sample.facts["question"] for sample in samples)
    num = {sample.facts["question"]: sample.facts.get("rotations") for sample in samples}
    return {question for question, times in asked.items() if num[question] in (times, None)}


MMBENCH = Benchmark(
    "mmbench", "MMBench, English dev", load, judge, measures, FETCH, published=(NUM_PUBLISHED,), remark=remark
)

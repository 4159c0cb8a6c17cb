"""MMMU (arXiv 2311.16502): college questions in thirty subjects, with up to seven pictures."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import average, grouped, judged, outcomes, select
from web2code.evaluation.benchmarks.files import Row, distinct, picture, read_rows, truths
from web2code.evaluation.benchmarks.verdicts import LETTER, SHORT, blank, bounded, lettered_lines, verdict
from web2code.evaluation.measure import Measure
from web2code.evaluation.metrics.choices import infer_choice, infer_lmms_eval_mmmu, lettered
from web2code.evaluation.metrics.open_answers import open_match, open_match_lmms_eval

FETCH = "fetch the validation Parquet files of the dataset MMMU/MMMU (validation-*.parquet) and put them into the folder"
COLUMNS = ("id", "question", "options", "answer", "question_type", "image_1")
DOMAINS = {
    "Art and Design": "Art Art_Theory Design Music",
    "Business": "Accounting Economics Finance Manage Marketing",
    "Science": "Biology Chemistry Geography Math Physics",
    "Health and Medicine": "Basic_Medical_Science Clinical_Medicine Diagnostics_and_Laboratory_Medicine Pharmacy "
    "Public_Health",
    "Humanities and Social Science": "History Literature Sociology Psychology",
    "Tech and Engineering": "Agriculture Architecture_and_Engineering Computer_Science Electronics Energy_and_Power "
    "Materials Mechanical_Engineering",
}
DOMAIN_OF = {subject: domain for domain, subjects in DOMAINS.items() for subject in subjects.split()}
REFERENCE = re.compile(r"<image ([1-7])>")
MAX_LIST = 10_000
MAX_NEW_TOKENS = 128


def load(folder: Path) -> Iterator[Sample]:
    """Samples of the validation split in the order of the files."""
    return distinct(_samples(folder))


def _samples(folder: Path) -> Iterator[Sample]:
    for row in read_rows(folder, FETCH, COLUMNS, "validation"):
        name = row["id"]
        subject = name.partition("_")[2].rpartition("_")[0]
        if subject not in DOMAIN_OF:
            raise ValueError(f"{folder} has question {name!r}, of no subject of MMMU's: {FETCH}")
        facts = {
            "answers": _truths(row["answer"], name, folder), "options": lettered(parse_list(row["options"], name)),
            "kind": row["question_type"], "domain": DOMAIN_OF[subject],
        }  # fmt: skip
        question = f"{row['question']}\n{lettered_lines(facts['options'])}\n{LETTER}"
        prompt = question if facts["kind"] == "multiple-choice" else f"{row['question']}\n{SHORT}"
        yield Sample(name, _images(row, prompt, folder), prompt, MAX_NEW_TOKENS, facts)


def parse_list(text: str, name: str) -> list[str]:
    """A list that a dataset holds as the text of a Python list.

    Raises:
        ValueError: it is none, or longer than any that the dataset has.
    """
    try:
        found = ast.literal_eval(text) if len(text) <= MAX_LIST else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        found = None
    if not isinstance(found, list):
        raise ValueError(f"question {name!r} has options that are no list: {FETCH}")
    return [str(one) for one in found]


def _truths(cell: str, name: str, folder: Path) -> tuple[str, ...]:
    if cell == "?":
        raise ValueError(f"question {name!r} in {folder} has no answer: {FETCH}")
    return truths(parse_list(cell, name) if cell.startswith("[") else cell, name, folder)


def _images(row: Row, prompt: str, folder: Path) -> tuple[bytes, ...]:
    """The pictures that a prompt refers to, by their numbers; all of them where it refers to none."""
    named = sorted(set(REFERENCE.findall(prompt))) or [n for n in "1234567" if row.get(f"image_{n}")]
    return tuple(picture(row.get(f"image_{number}"), folder, f"question {row['id']}") for number in named)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By the option that the answer names or the parts that may be the answer, and by lmms-eval's rules.

    lmms-eval draws an option where it finds none; here its draw depends on the question alone.
    """
    known, options = sample.facts["answers"], sample.facts["options"]
    if sample.facts["kind"] != "multiple-choice":
        published = {"lmms-eval": open_match_lmms_eval(answer, known)}
        return verdict(sample, blank(answer), {"correct": open_match(answer, known)}, published)
    found = infer_choice(answer, options)
    drawn = infer_lmms_eval_mmmu(answer, options, Random(sample.id).choice)
    reason = "" if found else "no option is named"
    return verdict(sample, reason, {"correct": found in known}, {"lmms-eval": drawn in known})


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Accuracy over all questions, of each domain, and of the two kinds of question."""
    pairs = judged(samples, verdicts)
    choice = select(pairs, "kind", "multiple-choice")
    return (
        average("accuracy", pairs, "correct"),
        average("accuracy (lmms-eval)", pairs, "lmms-eval"),
        *grouped("accuracy", pairs, "correct", "domain"),
        average("accuracy, multiple choice", choice, "correct"),
        average("accuracy, open", select(pairs, "kind", "open"), "correct"),
        *outcomes(pairs),
    )


MMMU = Benchmark("mmmu", "MMMU, validation", load, judge, measures, FETCH)

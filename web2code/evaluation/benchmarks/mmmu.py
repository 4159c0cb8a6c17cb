"""MMMU (arXiv 2311.16502): college questions in thirty subjects, with up to seven pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from random import Random

from web2code.evaluation.benchmarks import tables
from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import average, grouped, judged, outcomes
from web2code.evaluation.benchmarks.files import (
    Row,
    listed,
    parse_list,
    picture,
    question,
    read_rows,
    samples_of,
    true_letter,
    truths,
)
from web2code.evaluation.benchmarks.verdicts import LETTER, SHORT, blank, bounded, lettered_lines, verdict
from web2code.evaluation.measure import Measure
from web2code.evaluation.metrics.choices import infer_choice, infer_lmms_eval_mmmu, lettered
from web2code.evaluation.metrics.open_answers import open_match, open_match_lmms_eval

FETCH = (
    "fetch the validation Parquet files of the dataset MMMU/MMMU, of all subjects, and put them into the folder as "
    "they lie there (Accounting/validation-*.parquet and so on), or MMMU_DEV_VAL.tsv of VLMEvalKit"
)
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
MAX_NEW_TOKENS = 128


def load(folder: Path) -> Iterator[Sample]:
    """Samples of the validation split in the order of the files."""
    subjects = sorted({path.parent for path in folder.rglob("validation*.parquet")})
    if len({subject.name for subject in subjects}) < len(subjects):
        raise ValueError(f"{folder} holds a subject twice: leave one of them there; {FETCH}")
    rows = (read_rows(place, FETCH, COLUMNS, "validation", tables.MMMU) for place in subjects or [folder])
    return samples_of(chain.from_iterable(rows), folder, FETCH, partial(_sample, folder))


def _sample(folder: Path, number: int, row: Row) -> Sample:
    subject = row["id"].partition("_")[2].rpartition("_")[0]
    options, choice = lettered(parse_list(row["options"])), row["question_type"] == "multiple-choice"
    known = truths(listed(row["answer"]))
    if choice:
        known = tuple(true_letter(one, options) for one in known)
    facts = {"answers": known, "options": options, "kind": row["question_type"], "domain": DOMAIN_OF[subject]}
    prompt = f"{question(row)}\n" + (f"{lettered_lines(options)}\n{LETTER}" if choice else SHORT)
    named = sorted(set(REFERENCE.findall(prompt))) or [digit for digit in "1234567" if row.get(f"image_{digit}")]
    images = tuple(picture(row[f"image_{digit}"], folder) for digit in named)
    return Sample(row["id"], images, prompt, MAX_NEW_TOKENS, facts)


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
    return (
        average("accuracy", pairs, "correct"),
        average("accuracy (lmms-eval)", pairs, "lmms-eval"),
        *grouped("accuracy", pairs, "correct", "domain"),
        *grouped("accuracy", pairs, "correct", "kind"),
        *outcomes(pairs),
    )


MMMU = Benchmark("mmmu", "MMMU, validation", load, judge, measures, FETCH, published=(900,))

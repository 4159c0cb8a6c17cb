"""MME: pairs of yes/no questions about a picture in fourteen categories."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from web2code.evaluation.benchmarks import tables
from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import average, judged, outcomes
from web2code.evaluation.benchmarks.files import Row, picture, question, read_rows, samples_of, yes_or_no
from web2code.evaluation.benchmarks.verdicts import SHORT, bounded, verdict
from web2code.evaluation.measure import Measure, parts
from web2code.evaluation.metrics.mme import CATEGORY_POINTS, COGNITION, PERCEPTION, pair_points, total_points
from web2code.evaluation.metrics.yes_no import parse_answer, parse_lmms_eval_mme

FETCH = (
    "fetch the Parquet files of the dataset lmms-lab/MME (test-*.parquet), or MME.tsv of VLMEvalKit, and put "
    "them into the folder"
)
COLUMNS = ("question_id", "image", "question", "answer", "category")
MAX_NEW_TOKENS = 16
# Questions about a picture.
PAIR = 2


def load(folder: Path) -> Iterator[Sample]:
    """Samples in the order of the files.

    Raises:
        ValueError: a category is unknown, or there are not exactly two questions about a picture.
    """
    rows = read_rows(folder, FETCH, COLUMNS, "test", tables.MME)
    about: Counter[str] = Counter()
    for sample in samples_of(rows, folder, FETCH, partial(_sample, folder)):
        about[sample.facts["pair"]] += 1
        yield sample
        if about[sample.facts["pair"]] > PAIR:
            break
    if wrong := [pair for pair, times in about.items() if times != PAIR]:
        worst = max(wrong, key=lambda pair: about[pair])
        raise ValueError(f"{folder} has not two questions about {worst}, as MME has about each picture: {FETCH}")


def _sample(folder: Path, number: int, row: Row) -> Sample:
    if row["category"] not in PERCEPTION + COGNITION:
        raise ValueError(f"there is no category {row['category']!r}")
    pair = f"{row['category']}/{row['question_id']}"
    prompt = question(row).replace(tables.YES_NO_ASK, "") + SHORT
    facts = {"answer": yes_or_no(row["answer"]), "category": row["category"], "pair": pair}
    return Sample(pair, (picture(row["image"], folder),), prompt, MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By the first whole word yes or no, and by lmms-eval's first four characters."""
    parsed, truth = parse_answer(answer), sample.facts["answer"]
    reason = "neither yes nor no" if parsed == "unparsed" else ""
    ours = {"correct": parsed == truth, "yes": parsed == "yes"}
    return verdict(sample, reason, ours, {"lmms-eval": parse_lmms_eval_mme(answer) == truth})


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Points of perception and cognition, by our reading of answers and by lmms-eval's, and of each category.

    A question without its other, which was not asked, has no points.
    """
    pairs = judged(samples, verdicts)
    about = Counter(sample.facts["pair"] for sample in samples)
    by_pair: dict[str, list[tuple[Sample, Verdict]]] = defaultdict(list)
    for sample, given in pairs:
        if about[sample.facts["pair"]] == PAIR:
            by_pair[sample.facts["pair"]].append((sample, given))

    def points(name: str, categories: Sequence[str], key: str) -> Measure:
        """Units are the pairs of questions: drawn together, as they are scored."""
        kept = {pair: group for pair, group in by_pair.items() if group[0][0].facts["category"] in categories}
        terms = np.zeros((len(kept), len(categories), 2))
        for number, group in enumerate(kept.values()):
            right = [given.values.get(key, 0.0) for _, given in group]
            terms[number, categories.index(group[0][0].facts["category"])] = pair_points(right), 1
        scale = CATEGORY_POINTS * len(categories)
        return Measure(name, tuple(kept), terms.reshape(len(kept), 2 * len(categories)), total_points, scale)

    there = {group[0][0].facts["category"] for group in by_pair.values()}
    return (
        points("perception", PERCEPTION, "correct"),
        points("perception (lmms-eval)", PERCEPTION, "lmms-eval"),
        *parts([points("cognition", COGNITION, "correct")]),
        points("cognition (lmms-eval)", COGNITION, "lmms-eval"),
        average("accuracy", pairs, "correct"),
        average("yes ratio", pairs, "yes", "neither"),
        *(points(category, (category,), "correct") for category in PERCEPTION + COGNITION if category in there),
        *outcomes(pairs),
    )


def remark(samples: Sequence[Sample]) -> str:
    """How many questions have no points, as the other one about their picture was not asked."""
    about = Counter(sample.facts["pair"] for sample in samples)
    num = sum(times != PAIR for times in about.values())
    return f", not counting {num:,} of {len(about):,} pairs: not both of their questions were asked" if num else ""


MME = Benchmark("mme", "MME", load, judge, measures, FETCH, published=(2_374,), remark=remark)

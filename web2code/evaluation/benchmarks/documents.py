"""Questions about the text of documents and scenes: DocVQA, InfoVQA and ST-VQA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from web2code.data.images import ImageIndex
from web2code.evaluation.benchmarks import tables
from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import average, containment, judged, outcomes
from web2code.evaluation.benchmarks.files import (
    Row,
    configuration_folder,
    indexed_picture,
    picture,
    question,
    read_json,
    read_rows,
    samples_of,
    truths,
)
from web2code.evaluation.benchmarks.verdicts import SHORT, blank, bounded, verdict
from web2code.evaluation.measure import Measure
from web2code.evaluation.metrics.anls import anls, anls_lmms_eval
from web2code.evaluation.metrics.containment import contains, contains_words, long_truths

FETCH = (
    "fetch the validation Parquet files of the dataset lmms-lab/DocVQA ({part}/validation-*.parquet), or "
    "{table}_VAL.tsv of VLMEvalKit, and put them into the folder"
)
# Configurations of that dataset, and what VLMEvalKit calls them.
PARTS = {"DocVQA": "DocVQA", "InfographicVQA": "InfoVQA"}
COLUMNS = ("questionId", "question", "answers", "image")
STVQA_FILE = "train_task_3.json"
FETCH_STVQA = (
    f"fetch {STVQA_FILE} and the training pictures of ST-VQA from the Robust Reading Competition (challenge 11) and "
    "put them into the folder, the pictures as they are or as zip archives"
)
MAX_NEW_TOKENS = 32


def load(folder: Path, part: str) -> Iterator[Sample]:
    """Samples of the validation split in the order of the files."""
    fetch = FETCH.format(part=part, table=PARTS[part])
    place = configuration_folder(folder, fetch, part, [other for other in PARTS if other != part])
    rows = read_rows(place, fetch, COLUMNS, "validation", tables.DOCUMENTS)
    return samples_of(rows, folder, fetch, partial(_sample, folder))


def _sample(folder: Path, number: int, row: Row) -> Sample:
    facts = {"answers": truths(row["answers"])}
    image = picture(row["image"], folder)
    return Sample(str(row["questionId"]), (image,), question(row) + SHORT, MAX_NEW_TOKENS, facts)


def load_stvqa(folder: Path) -> Iterator[Sample]:
    """Samples in the order of `train_task_3.json`: the answers of the test split are not published."""
    path = folder / STVQA_FILE
    content = read_json(path, FETCH_STVQA)
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        raise ValueError(f"{path} has no list 'data': {FETCH_STVQA}")
    images = ImageIndex([folder, *sorted(folder.glob("*.zip"))])
    return samples_of(content["data"], path, FETCH_STVQA, partial(_stvqa, images))


def _stvqa(images: ImageIndex, number: int, row: Row) -> Sample:
    facts = {"answers": truths(row["answers"])}
    image = indexed_picture(images, row["file_path"])
    return Sample(str(row.get("question_id", number)), (image,), question(row) + SHORT, MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By edit similarity, and by containment."""
    known = sample.facts["answers"]
    ours = {"anls": anls(answer, known), "words": contains_words(answer, known)}
    published = {"lmms-eval": anls_lmms_eval(answer, known), "substring": contains(answer, long_truths(known))}
    return verdict(sample, blank(answer), ours, published)


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """ANLS, then containment."""
    pairs = judged(samples, verdicts)
    return (
        average("ANLS", pairs, "anls"),
        average("ANLS (lmms-eval)", pairs, "lmms-eval"),
        *containment(pairs),
        *outcomes(pairs),
    )


def _benchmark(name: str, title: str, part: str, published: int) -> Benchmark:
    fetch = FETCH.format(part=part, table=PARTS[part])
    return Benchmark(name, title, partial(load, part=part), judge, measures, fetch, published=(published,))


DOCVQA = _benchmark("docvqa", "DocVQA", "DocVQA", 5349)
INFOVQA = _benchmark("infovqa", "InfographicVQA", "InfographicVQA", 2801)
STVQA = Benchmark("stvqa", "ST-VQA", load_stvqa, judge, measures, FETCH_STVQA)

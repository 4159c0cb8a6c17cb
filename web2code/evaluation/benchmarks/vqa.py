"""Short questions about photographs: VQAv2, TextVQA and GQA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from web2code.evaluation.benchmarks import tables
from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import average, containment, grouped, judged, outcomes
from web2code.evaluation.benchmarks.files import Row, picture, question, read_rows, samples_of, truths
from web2code.evaluation.benchmarks.verdicts import SHORT, blank, bounded, verdict
from web2code.evaluation.measure import Measure, parts
from web2code.evaluation.metrics.containment import contains, contains_words, long_truths
from web2code.evaluation.metrics.exact import exact_match, exact_match_lmms_eval
from web2code.evaluation.metrics.vqa import vqa_accuracy, vqa_accuracy_lmms_eval, vqa_accuracy_lmms_eval_vqav2

FETCH_TEXTVQA = (
    "fetch the validation Parquet files of the dataset lmms-lab/textvqa (validation-*.parquet), or without its OCR "
    "words TextVQA_VAL.tsv of VLMEvalKit, and put them into the folder"
)
FETCH_VQAV2 = (
    "fetch the validation Parquet files of the dataset lmms-lab/VQAv2 (validation-*.parquet) and put them into the "
    "folder"
)
FETCH_GQA = (
    "fetch the folders testdev_balanced_instructions and testdev_balanced_images of the dataset lmms-lab/GQA, or "
    "GQA_TestDev_Balanced.tsv of VLMEvalKit, and put them into the folder"
)
MAX_NEW_TOKENS = 16


def load_textvqa(folder: Path, ocr: bool) -> Iterator[Sample]:
    """Samples in the order of the files; with `ocr` the prompt gives the dataset's own OCR words, as LLaVA's does."""
    columns = ("question_id", "question", "image", "answers", *(("ocr_tokens",) if ocr else ()))
    rows = read_rows(folder, FETCH_TEXTVQA, columns, "validation", None if ocr else tables.TEXTVQA)
    return samples_of(rows, folder, FETCH_TEXTVQA, partial(_textvqa, folder, ocr))


def _textvqa(folder: Path, ocr: bool, number: int, row: Row) -> Sample:
    words = f"\nReference OCR token: {', '.join(row['ocr_tokens'])}" if ocr else ""
    prompt = f"{question(row).capitalize()}{words}{SHORT}"
    return _sample(folder, row, prompt, {"answers": truths(row["answers"])})


@bounded
def judge_textvqa(sample: Sample, answer: str) -> Verdict:
    """By agreement with the annotators, and by containment."""
    known = sample.facts["answers"]
    ours = {"accuracy": vqa_accuracy(answer, known), "words": contains_words(answer, known)}
    published = {
        "lmms-eval": vqa_accuracy_lmms_eval(answer, known),
        "substring": contains(answer, long_truths(known)),
    }
    return verdict(sample, blank(answer), ours, published)


def measures_textvqa(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """VQA accuracy, then containment."""
    pairs = judged(samples, verdicts)
    return (
        average("accuracy", pairs, "accuracy"),
        average("accuracy (lmms-eval)", pairs, "lmms-eval"),
        *containment(pairs),
        *outcomes(pairs),
    )


def load_vqav2(folder: Path) -> Iterator[Sample]:
    """Samples of the validation split in the order of the files."""
    columns = ("question_id", "question", "image", "answers", "answer_type")
    rows = read_rows(folder, FETCH_VQAV2, columns, "validation")
    return samples_of(rows, folder, FETCH_VQAV2, partial(_vqav2, folder))


def _vqav2(folder: Path, number: int, row: Row) -> Sample:
    known = truths([one["answer"] for one in row["answers"] or ()])
    return _sample(folder, row, question(row) + SHORT, {"answers": known, "type": row["answer_type"]})


@bounded
def judge_vqav2(sample: Sample, answer: str) -> Verdict:
    """By agreement with the annotators."""
    known = sample.facts["answers"]
    published = {"lmms-eval": vqa_accuracy_lmms_eval_vqav2(answer, known)}
    return verdict(sample, blank(answer), {"accuracy": vqa_accuracy(answer, known)}, published)


def measures_vqav2(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """VQA accuracy over all questions and of each type of answer."""
    pairs = judged(samples, verdicts)
    return (
        average("accuracy", pairs, "accuracy"),
        average("accuracy (lmms-eval)", pairs, "lmms-eval"),
        *parts(grouped("accuracy", pairs, "accuracy", "type")),
        *outcomes(pairs),
    )


def load_gqa(folder: Path) -> Iterator[Sample]:
    """Samples of testdev in the order of the file of questions."""
    columns = ("id", "imageId", "question", "answer")
    if any(folder.rglob("*.tsv")):
        rows = read_rows(folder, FETCH_GQA, columns, table=tables.GQA)
        return samples_of(rows, folder, FETCH_GQA, partial(_gqa, folder, {}))
    # A picture has thirty questions, and all 398 are 50 MB.
    pictures = read_rows(folder / "testdev_balanced_images", FETCH_GQA, ("id", "image"), "testdev")
    images = {row["id"]: row["image"] for row in pictures}
    rows = read_rows(folder / "testdev_balanced_instructions", FETCH_GQA, columns, "testdev")
    return samples_of(rows, folder, FETCH_GQA, partial(_gqa, folder, images))


def _gqa(folder: Path, images: dict[str, Any], number: int, row: Row) -> Sample:
    image = picture(row.get("image") or images.get(row["imageId"]), folder)
    return Sample(row["id"], (image,), question(row) + SHORT, MAX_NEW_TOKENS, {"answer": truths(row["answer"])[0]})


@bounded
def judge_gqa(sample: Sample, answer: str) -> Verdict:
    """By exact match."""
    truth = sample.facts["answer"]
    published = {"lmms-eval": exact_match_lmms_eval(answer, truth)}
    return verdict(sample, blank(answer), {"correct": exact_match(answer, truth)}, published)


def measures_gqa(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Share of exact matches."""
    pairs = judged(samples, verdicts)
    return (
        average("accuracy", pairs, "correct"),
        average("accuracy (lmms-eval)", pairs, "lmms-eval"),
        *outcomes(pairs),
    )


def _sample(folder: Path, row: Row, prompt: str, facts: dict[str, Any]) -> Sample:
    return Sample(str(row["question_id"]), (picture(row["image"], folder),), prompt, MAX_NEW_TOKENS, facts)


TEXTVQA = Benchmark(
    "textvqa", "TextVQA", partial(load_textvqa, ocr=False), judge_textvqa, measures_textvqa, FETCH_TEXTVQA,
    published=(5000,),
)  # fmt: skip
TEXTVQA_OCR = Benchmark(
    "textvqa_ocr", "TextVQA, with OCR words in the prompt", partial(load_textvqa, ocr=True), judge_textvqa,
    measures_textvqa, FETCH_TEXTVQA, published=(5000,),
)  # fmt: skip
VQAV2 = Benchmark("vqav2", "VQAv2", load_vqav2, judge_vqav2, measures_vqav2, FETCH_VQAV2, published=(214_354,))
GQA = Benchmark("gqa", "GQA", load_gqa, judge_gqa, measures_gqa, FETCH_GQA, published=(12_578,))

"""ScienceQA (arXiv 2209.09513): school questions with options, with and without a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from web2code.config import JudgeConfig
from web2code.evaluation.benchmarks import tables
from web2code.evaluation.benchmarks.benchmark import Answered, Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import average, grouped, judged, outcomes
from web2code.evaluation.benchmarks.files import Row, configuration_folder, picture, question, read_rows, samples_of
from web2code.evaluation.benchmarks.verdicts import LETTER, bounded, lettered_lines, verdict
from web2code.evaluation.measure import Measure, parts
from web2code.evaluation.metrics.choices import (
    infer_choice,
    lettered,
    matches_lmms_eval_scienceqa,
    matches_published_scienceqa,
)

if TYPE_CHECKING:
    from web2code.endpoint import Client

FETCH = (
    "fetch the test Parquet files of the dataset lmms-lab/ScienceQA (ScienceQA-{part}), or of the questions with a "
    "picture ScienceQA_TEST.tsv of VLMEvalKit, and put them into the folder"
)
COLUMNS = ("image", "question", "choices", "answer", "hint")
MAX_NEW_TOKENS = 16


def load(folder: Path, part: str) -> Iterator[Sample]:
    """Samples in the order of the files; of the part `IMG` those with a picture."""
    fetch = FETCH.format(part=part)
    place = configuration_folder(folder, fetch, f"ScienceQA-{part}")
    rows = read_rows(place, fetch, COLUMNS, "test", tables.SCIENCEQA)
    samples = samples_of(rows, folder, fetch, partial(_sample, folder))
    return (sample for sample in samples if sample.images or part != "IMG")


def _sample(folder: Path, number: int, row: Row) -> Sample:
    options = lettered(row["choices"])
    context = f"Context: {row['hint']}\n" if row["hint"] else ""
    images = (picture(row["image"], folder),) if row["image"] else ()
    facts = {
        "answer": dict(enumerate(options))[row["answer"]], "options": options,
        "pictures": "with a picture" if images else "without a picture",
        "subject": row.get("subject") or "unknown",
    }  # fmt: skip
    prompt = f"{context}{question(row)}\n{lettered_lines(options)}{LETTER}"
    return Sample(str(number), images, prompt, MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By the option that the answer names, by lmms-eval's rule and by LLaVA's script."""
    found, truth = infer_choice(answer, sample.facts["options"]), sample.facts["answer"]
    published = {
        "lmms-eval": matches_lmms_eval_scienceqa(answer, truth),
        "published": matches_published_scienceqa(answer, truth),
    }
    return verdict(sample, "" if found else "no option is named", {"correct": found == truth}, published)


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Accuracy over all questions, over those with a picture, and of each subject."""
    pairs = judged(samples, verdicts)
    return (
        average("accuracy", pairs, "correct"),
        average("accuracy (lmms-eval)", pairs, "lmms-eval"),
        average("accuracy (published)", pairs, "published"),
        *parts(grouped("accuracy", pairs, "correct", "pictures")),
        *grouped("accuracy", pairs, "published", "pictures", " (published)"),
        *grouped("accuracy", pairs, "correct", "subject"),
        *outcomes(pairs),
    )


def with_text_model(client: Client, settings: JudgeConfig, one: Answered) -> Verdict:
    """Have a text model answer as well, and where the two differ, judge both."""
    from web2code.evaluation.judges import scienceqa_ensemble  # heavy: it brings the endpoint's client

    return scienceqa_ensemble.judge(client, one.sample, one.text, settings.repeats)


def measures_with_text_model(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Accuracies of judge, complement, either model alone, and an oracle."""
    from web2code.evaluation.judges import scienceqa_ensemble

    return scienceqa_ensemble.measures(samples, verdicts)


def _benchmark(name: str, title: str, part: str, published: int) -> Benchmark:
    fetch = FETCH.format(part=part)
    return Benchmark(name, title, partial(load, part=part), judge, measures, fetch, published=(published,))


SCIENCEQA = _benchmark("scienceqa", "ScienceQA", "FULL", 4241)
SCIENCEQA_IMG = _benchmark("scienceqa_img", "ScienceQA, questions with a picture", "IMG", 2017)
SCIENCEQA_ENSEMBLE = Benchmark(
    "scienceqa_ensemble",
    "ScienceQA with a text model, as complement and as judge",
    partial(load, part="FULL"),
    None,
    measures_with_text_model,
    SCIENCEQA.fetch,
    model_judge=with_text_model,
    answers_of=SCIENCEQA.name,
    published=SCIENCEQA.published,
)

"""Reading values off forms and receipts: FUNSD and SROIE, asked as questions as in LLaVAR's line of work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from web2code.data.images import ImageIndex, is_left_by_macos
from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import average, containment, judged, outcomes
from web2code.evaluation.benchmarks.files import Row, indexed_picture, question, read_json, samples_of
from web2code.evaluation.benchmarks.verdicts import blank, bounded, verdict
from web2code.evaluation.measure import Measure
from web2code.evaluation.metrics.anls import anls
from web2code.evaluation.metrics.containment import contains, contains_words, long_truths
from web2code.evaluation.metrics.exact import exact_match_of_values

FETCH_FUNSD = (
    "fetch dataset.zip of FUNSD and unpack its testing_data (annotations/*.json and images/*.png) into the folder"
)
FETCH_SROIE = (
    "fetch the test part of SROIE's task 3 (ICDAR 2019) and put its entities/*.txt, a JSON object each, and "
    "img/*.jpg into the folder"
)
# As the scripts of LLaVAR's line ask (MultimodalOCR, datasets/kie_dataset.py).
FIELDS = {
    "company": "what is the name of the company that issued this invoice?",
    "date": "when was this invoice issued?",
    "address": "where was this invoice issued?",
    "total": "what is the total amount of this invoice?",
}
MAX_NEW_TOKENS = 128


def load_funsd(folder: Path) -> Iterator[Sample]:
    """A question for each key of a form that has a value, forms by name; several values are joined."""
    return samples_of(_keys(folder), folder, FETCH_FUNSD, partial(_sample, ImageIndex([folder])))


def _keys(folder: Path) -> Iterator[Row]:
    for path in _files(folder, "annotations/*.json", "testing_data", FETCH_FUNSD):
        content = read_json(path, FETCH_FUNSD)
        if not isinstance(content, dict) or not isinstance(content.get("form"), list):
            raise ValueError(f"{path} has no list 'form': {FETCH_FUNSD}")
        image = path.relative_to(folder).parent.parent / "images" / f"{path.stem}.png"
        try:
            found = list(keys_and_values(content["form"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not as published ({error!r}): {FETCH_FUNSD}") from None
        for key, value, identity in found:
            ask = f'what is "{key}" information in the image?'
            yield {"id": f"{path.stem}/{identity}", "image": image, "question": ask, "answer": value}


def keys_and_values(form: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    """Texts of a form's keys with those of the values linked to them, and the keys' ids."""
    by_id = {entity["id"]: entity for entity in form}
    for entity in form:
        linked = [by_id.get(other, {}) for _, other in entity["linking"]]
        values = [other["text"] for other in linked if other.get("label") == "answer"]
        key, value = (" ".join(text.split()) for text in (entity["text"], " ".join(values)))
        if entity["label"] == "question" and key and value:
            yield key, value, entity["id"]


def load_sroie(folder: Path) -> Iterator[Sample]:
    """Up to four questions for each receipt, receipts by name: an entity that it does not have is not asked for."""
    return samples_of(_entities(folder), folder, FETCH_SROIE, partial(_sample, ImageIndex([folder])))


def _entities(folder: Path) -> Iterator[Row]:
    # They are also passed on with texts and pictures side by side.
    pattern = "entities/*.txt" if any(folder.rglob("entities/*.txt")) else "*.txt"
    for path in _files(folder, pattern, "test", FETCH_SROIE):
        content = read_json(path, FETCH_SROIE)
        if not isinstance(content, dict):
            raise ValueError(f"{path} is no JSON object: {FETCH_SROIE}")
        image = path.relative_to(folder).parent.parent / "img" / f"{path.stem}.jpg"
        for field, ask in FIELDS.items():
            if value := str(content.get(field) or "").strip():
                yield {"id": f"{path.stem}/{field}", "image": image, "question": ask, "answer": value}


def _files(folder: Path, pattern: str, part: str, fetch: str) -> list[Path]:
    """The files of the part that is for testing, or where no folder has its name, those that are not for training.

    Raises:
        ValueError: there is none.
    """
    names = [path.relative_to(folder) for path in sorted(folder.rglob(pattern))]
    there = [name for name in names if not is_left_by_macos(name)]
    files = [name for name in there if part in name.parts] or [
        name for name in there if not any(parent.startswith("train") for parent in name.parts[:-1])
    ]
    if not files:
        raise ValueError(f"{folder} holds no {pattern}" + (" for testing" if there else "") + f": {fetch}")
    return [folder / name for name in files]


def _sample(images: ImageIndex, number: int, row: Row) -> Sample:
    image = indexed_picture(images, row["image"].as_posix())
    return Sample(row["id"], (image,), question(row), MAX_NEW_TOKENS, {"answers": (row["answer"],)})


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By containment, exact match and edit similarity."""
    known = sample.facts["answers"]
    ours = {
        "words": contains_words(answer, known),
        "exact": any(exact_match_of_values(answer, truth) for truth in known),
        "anls": anls(answer, known),
    }
    return verdict(sample, blank(answer), ours, {"substring": contains(answer, long_truths(known))})


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Containment, exact match and ANLS."""
    pairs = judged(samples, verdicts)
    return (
        *containment(pairs),
        average("exact match", pairs, "exact"),
        average("ANLS", pairs, "anls"),
        *outcomes(pairs),
    )


FUNSD = Benchmark("funsd", "FUNSD", load_funsd, judge, measures, FETCH_FUNSD)
SROIE = Benchmark("sroie", "SROIE", load_sroie, judge, measures, FETCH_SROIE)

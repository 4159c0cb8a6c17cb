"""Reading values off forms and receipts: FUNSD and SROIE, asked as questions as in LLaVAR's line of work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from web2code.data.images import ImageIndex, load_image
from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.figures import average, containment, judged, outcomes
from web2code.evaluation.benchmarks.files import distinct, read_json
from web2code.evaluation.benchmarks.verdicts import SHORT, blank, bounded, verdict
from web2code.evaluation.measure import Measure
from web2code.evaluation.metrics.anls import anls
from web2code.evaluation.metrics.containment import contains, contains_words, long_truths
from web2code.evaluation.metrics.exact import exact_match

FETCH_FUNSD = (
    "fetch dataset.zip of FUNSD and unpack its testing_data (annotations/*.json and images/*.png) into the folder"
)
FETCH_SROIE = (
    "fetch the test part of SROIE's task 3 (ICDAR 2019) and put entities/*.txt, a JSON object each, and img/*.jpg into "
    "the folder"
)
FIELDS = {
    "company": "What is the name of the company that issued this receipt?",
    "date": "When was this receipt issued?",
    "address": "Where was this receipt issued?",
    "total": "What is the total of this invoice?",
}
MAX_NEW_TOKENS = 128


def load_funsd(folder: Path) -> Iterator[Sample]:
    """A question for each key of a form that has a value, forms by name; several values are joined."""
    return distinct(_funsd(folder))


def _funsd(folder: Path) -> Iterator[Sample]:
    files = sorted(folder.rglob("annotations/*.json"))
    files = [path for path in files if "testing_data" in path.parts] or files
    if not files:
        raise ValueError(f"{folder} holds no annotations/*.json: {FETCH_FUNSD}")
    images = ImageIndex([folder])
    for path in files:
        content = read_json(path, FETCH_FUNSD)
        form = content.get("form") if isinstance(content, dict) else None
        if not isinstance(form, list):
            raise ValueError(f"{path} has no list 'form': {FETCH_FUNSD}")
        image = _image(images, path.parent.parent.relative_to(folder) / "images" / f"{path.stem}.png", FETCH_FUNSD)
        for key, value, identity in keys_and_values(form):
            prompt = f"What is the value of \"{key}\" in this form?{SHORT}"
            yield Sample(f"{path.stem}/{identity}", (image,), prompt, MAX_NEW_TOKENS, {"answers": (value,)})


def keys_and_values(form: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    """Texts of a form's keys with those of the values linked to them, and the keys' ids."""
    by_id = {entity.get("id"): entity for entity in form}
    for entity in form:
        key = str(entity.get("text") or "").strip()
        if entity.get("label") != "question" or not key:
            continue
        linked = [by_id.get(pair[1]) for pair in entity.get("linking") or () if len(pair) == 2]
        values = [str(other["text"]) for other in linked if other and other.get("label") == "answer" and other.get("text")]
        if value := " ".join(" ".join(values).split()):
            yield key, value, entity.get("id")


def load_sroie(folder: Path) -> Iterator[Sample]:
    """Up to four questions for each receipt, receipts by name: an entity that it does not have is not asked for."""
    return distinct(_sroie(folder))


def _sroie(folder: Path) -> Iterator[Sample]:
    files = sorted(path for pattern in ("entities/*.txt", "entities/*.json") for path in folder.rglob(pattern))
    files = [path for path in files if "test" in path.parts] or files
    if not files:
        raise ValueError(f"{folder} holds no entities/*.txt: {FETCH_SROIE}")
    images = ImageIndex([folder])
    for path in files:
        entities = read_json(path, FETCH_SROIE)
        if not isinstance(entities, dict):
            raise ValueError(f"{path} is no JSON object: {FETCH_SROIE}")
        image = _image(images, path.parent.parent.relative_to(folder) / "img" / f"{path.stem}.jpg", FETCH_SROIE)
        for field, question in FIELDS.items():
            if value := str(entities.get(field) or "").strip():
                facts = {"answers": (value,), "field": field}
                yield Sample(f"{path.stem}/{field}", (image,), question + SHORT, MAX_NEW_TOKENS, facts)


@bounded
def judge(sample: Sample, answer: str) -> Verdict:
    """By containment, exact match and edit similarity."""
    known = sample.facts["answers"]
    ours = {
        "words": contains_words(answer, known),
        "exact": any(exact_match(answer, truth) for truth in known),
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


def _image(images: ImageIndex, path: Path, fetch: str) -> bytes:
    try:
        return load_image(images.find(path.as_posix()))
    except ValueError as error:
        raise ValueError(f"{path}: {error}; {fetch}") from None


FUNSD = Benchmark("funsd", "FUNSD", load_funsd, judge, measures, FETCH_FUNSD)
SROIE = Benchmark("sroie", "SROIE", load_sroie, judge, measures, FETCH_SROIE)

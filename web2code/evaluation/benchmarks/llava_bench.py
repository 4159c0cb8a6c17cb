"""LLaVA-Bench: open questions about pictures, answered so well in comparison with GPT-4, which read the captions.

The files and the relative score are those of haotian-liu/LLaVA (`eval_gpt_review_visual.py`,
`eval_gpt_review_bench.py`, `summarize_gpt_review.py` in llava/eval). What an answer is worth, a model says that judges
both: `web2code.evaluation.judges`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from web2code.config import JudgeConfig
from web2code.evaluation.benchmarks.benchmark import Answered, Benchmark, Sample, Verdict
from web2code.evaluation.benchmarks.files import Row, checked, picture, question, read_rows, samples_of, truths
from web2code.evaluation.judges.repeats import spread
from web2code.evaluation.measure import Measure, mean, ratio

if TYPE_CHECKING:
    from web2code.endpoint import Client

CATEGORIES = ("conv", "detail", "complex")
MAX_NEW_TOKENS = 1024
MAX_BYTES = 20_000_000
# Of VLMEvalKit's table.
TABLE = ("index", "question", "category", "caption", "gpt4_ans", "image")


@dataclass(frozen=True)
class Variant:
    """One of the two sets of questions, and the names of its public files."""

    name: str
    title: str
    num: int
    questions: str
    contexts: str
    references: str
    fetch: str


IN_THE_WILD = Variant(
    "llava_bench_in_the_wild",
    "LLaVA-Bench (in the wild)",
    60,
    "questions.jsonl",
    "context.jsonl",
    "answers_gpt4.jsonl",
    "questions.jsonl, context.jsonl, answers_gpt4.jsonl and images/ of the dataset liuhaotian/llava-bench-in-the-wild, "
    "or LLaVABench.tsv of VLMEvalKit",
)
COCO = Variant(
    "llava_bench_coco",
    "LLaVA-Bench (COCO)",
    90,
    "qa90_questions.jsonl",
    "caps_boxes_coco2014_val_80.jsonl",
    "qa90_gpt4_answer.jsonl",
    "qa90_questions.jsonl and qa90_gpt4_answer.jsonl (playground/data/coco2014_val_qa_eval) and "
    "caps_boxes_coco2014_val_80.jsonl (llava/eval/table) of haotian-liu/LLaVA, and as images/ those of COCO's val2014 "
    "that the questions name",
)


def llava_bench(variant: Variant) -> Benchmark:
    """The benchmark of one set of questions."""
    return Benchmark(
        variant.name, variant.title, partial(load, variant), None, measures, _fetch(variant), model_judge=model_judge
    )


def model_judge(client: Client, judge: JudgeConfig, one: Answered) -> Verdict:
    """Have a model compare an answer with GPT-4's."""
    from web2code.evaluation.judges.llava_bench import LlavaBenchJudge  # heavy: it brings the endpoint's client

    return LlavaBenchJudge(client, judge.swap, judge.repeats).judge(one.sample, one.text)


def load(variant: Variant, folder: Path) -> list[Sample]:
    """The questions; their facts are `category`, `context` (what the judge is told of the picture) and `reference`.

    Raises:
        ValueError: a file is missing or broken, or does not hold what the others name; the message says what to fetch.
    """
    if variant is IN_THE_WILD and any(folder.rglob("*.tsv")):
        rows = read_rows(folder, _fetch(variant), TABLE)
        return _complete(variant, folder, list(samples_of(rows, folder, _fetch(variant), partial(_of_table, folder))))
    contexts = {str(row["image"]): _context(row) for row in _rows(variant, folder, variant.contexts, "image")}
    references = _rows(variant, folder, variant.references, "question_id", "text")
    answers = {str(row["question_id"]): str(row["text"]) for row in references}
    samples = []
    for row in _rows(variant, folder, variant.questions, "question_id", "image", "text", "category"):
        key, image, category = str(row["question_id"]), str(row["image"]), row["category"]
        if category not in CATEGORIES or key not in answers or image not in contexts:
            raise ValueError(f"question {key} in {folder} lacks its category, context or answer: {_fetch(variant)}")
        facts = {"category": category, "context": contexts[image], "reference": answers[key]}
        samples.append(Sample(key, (_picture(variant, folder, image),), str(row["text"]), MAX_NEW_TOKENS, facts))
    return _complete(variant, folder, samples)


def _of_table(folder: Path, number: int, row: Row) -> Sample:
    if row["category"] not in CATEGORIES:
        raise ValueError(f"there is no category {row['category']!r}")
    facts = {"category": row["category"], "context": row["caption"], "reference": truths(row["gpt4_ans"])[0]}
    return Sample(row["index"], (picture(row["image"], folder),), question(row), MAX_NEW_TOKENS, facts)


def _complete(variant: Variant, folder: Path, samples: list[Sample]) -> list[Sample]:
    if len(samples) != variant.num:
        raise ValueError(f"{folder} holds {len(samples)} questions in place of {variant.num}: {_fetch(variant)}")
    return samples


def measures(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[Measure, ...]:
    """Relative scores in percent, over all questions and for each category.

    The model's mean, with 0 for an answer that is missing or was not judged, over the reference's mean where it was
    judged. `(published)` is what LLaVA's scripts and lmms-eval compute from the first order of the two answers: an
    answer that was not judged counts as -1 for both, so that a hundred failures are a score of 100. `sd model` is the
    standard deviation of one reply's score of the same answer, where there are several.
    """
    units = tuple(sample.id for sample in samples)
    ours = np.array([_terms(verdict) for verdict in verdicts], float).reshape(-1, 4)
    published = np.array([_published_terms(verdict) for verdict in verdicts], float).reshape(-1, 2)
    found = []
    for name, categories in (("relative score", CATEGORIES), *((name, (name,)) for name in CATEGORIES)):
        chosen = np.array([sample.facts["category"] in categories for sample in samples], float)[:, None]
        found.append(Measure(name, units, ours * chosen, relative_score, 100.0))
        found.append(Measure(f"{name} (published)", units, published * chosen, _percentage, 100.0))
    if any("first" in verdict.values for verdict in verdicts):
        gains = [[verdict.values.get("first", 0.0), float("first" in verdict.values)] for verdict in verdicts]
        found.append(Measure("gain of the first place", units, np.array(gains), ratio, 9.0, "neither"))
    if any("sd model" in verdict.values for verdict in verdicts):
        found.append(spread("model", units, verdicts, 9.0))
    found.append(mean("not judged", units, [verdict.outcome == "unjudged" for verdict in verdicts], better="less"))
    return tuple(found)


def relative_score(sums: np.ndarray) -> np.ndarray:
    """100 * mean of the model over mean of the reference, from (model, questions, reference, judged) sums."""
    means = np.stack([ratio(sums[..., :2]), ratio(sums[..., 2:])], axis=-1)
    return _percentage(means)


def _percentage(sums: np.ndarray) -> np.ndarray:
    return 100 * ratio(sums)


def _terms(verdict: Verdict) -> list[float]:
    model = verdict.values["model"] if verdict.outcome == "scored" else 0.0
    return [model, 1.0, verdict.values.get("reference", 0.0), float("reference" in verdict.values)]


def _published_terms(verdict: Verdict) -> list[float]:
    return [verdict.values.get("published model", -1.0), verdict.values.get("published reference", -1.0)]


def _context(row: dict[str, Any]) -> str:
    """Captions, and for COCO the boxes of what is seen."""
    captions = row.get("captions", row.get("caption", ""))
    lines = [captions] if isinstance(captions, str) else [str(caption) for caption in captions]
    boxes = [f"{found['category']}: {found['bbox']}" for found in row.get("instances", [])]
    return "\n".join([*lines, "", *boxes] if boxes else lines)


def _rows(variant: Variant, folder: Path, name: str, *keys: str) -> list[dict[str, Any]]:
    path = folder / name
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is missing, or larger than {MAX_BYTES} bytes: {_fetch(variant)}")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8: {_fetch(variant)}") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str | int) for key in keys):
            raise ValueError(f"line {number} of {path} is no object with {', '.join(keys)}: {_fetch(variant)}")
        rows.append(row)
    return rows


def _picture(variant: Variant, folder: Path, name: str) -> bytes:
    # COCO's own files have a prefix that the questions leave out.
    for path in (folder / "images" / name, folder / "images" / f"COCO_val2014_{name}"):
        if Path(name).name == name and path.is_file() and path.stat().st_size <= MAX_BYTES:
            return checked(path.read_bytes(), str(path), _fetch(variant))
    raise ValueError(f"{folder / 'images'} lacks {name}: {_fetch(variant)}")


def _fetch(variant: Variant) -> str:
    return f"fetch {variant.fetch}, and put them into the folder"

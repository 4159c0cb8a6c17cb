"""ScienceQA (arXiv 2209.09513): the questions of its training split, as LLaVA was fine-tuned on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from web2code.data.images import ImageIndex
from web2code.data.readers.conversations import read_records, require
from web2code.data.readers.parquet import picture_bytes, rows
from web2code.data.sample import ImageFile, Rejected, Sample, dialogue

# The licence is that of the dataset's own page; the card on the hub leaves out that it is non-commercial.
SOURCE, PART, LICENCE = "scienceqa", "ScienceQA", "CC-BY-NC-SA-4.0"
CONVERTED, PROBLEMS, SPLITS = "llava_train_QCM-LEA.json", "problems.json", "pid_splits.json"
PICTURES = ("images/train", "train")
COLUMNS = ("image", "question", "choices", "answer", "hint", "lecture", "solution")


def read_scienceqa(root: Path) -> Iterator[Sample | Rejected]:
    """The training split, with and without pictures, from whichever of three layouts is there.

    They are `llava_train_QCM-LEA.json`, which LLaVA's `convert_sqa_to_llava.py` writes; else `problems.json` with
    `pid_splits.json`, from which it does, both with pictures in `images/train/<id>/` or `train/<id>/`; else the Parquet
    files of the hub whose names begin with `train` (derek-thomas/ScienceQA).

    Raises:
        ValueError: none of them is there, or a file or the pictures' folder is missing or not whole.
    """
    if (root / CONVERTED).exists():
        yield from read_records(root / CONVERTED, _pictures(root), SOURCE, LICENCE, lambda image, messages: PART)
    elif (root / PROBLEMS).exists():
        yield from _read_problems(root)
    elif any(root.rglob("train*.parquet")):
        for name, number, row in rows(root, COLUMNS, "train"):
            find = partial(picture_bytes, row["image"]) if row["image"] else None
            yield _sample(f"{SOURCE}/{name}/{number}", row, find)
    else:
        raise ValueError(
            f"{root} holds no {CONVERTED}, no {PROBLEMS} and no train*.parquet: download ScienceQA into it"
        )


def question_and_answer(problem: Mapping[str, Any]) -> tuple[str, str]:
    """Question, context and options; lecture, explanation and answer: LLaVA's format `QCM-LEA`, white space included.

    But for an answer with neither lecture nor explanation, which begins with a space there.

    Raises:
        ValueError: one of them is missing; the message is a countable reason.
    """
    texts = [problem.get(name) or "" for name in ("question", "hint", "lecture", "solution")]
    choices, number = problem.get("choices"), problem.get("answer")
    if not all(isinstance(text, str) for text in texts) or not texts[0].strip():
        raise ValueError("no question")
    if not isinstance(choices, list) or not 0 < len(choices) <= len(ascii_uppercase):
        raise ValueError("no options")
    if not isinstance(number, int) or number not in range(len(choices)):
        raise ValueError("answer is none of the options")
    question, hint, lecture, solution = texts
    options = " ".join(f"({letter}) {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False))
    asked = f"{question}\nContext: {hint.strip() or 'N/A'}\nOptions: {options}"
    answered = f"{lecture} {solution} The answer is {ascii_uppercase[number]}."
    return asked.replace("  ", " ").strip(), answered.replace("  ", " ").strip()


def _read_problems(root: Path) -> Iterator[Sample | Rejected]:
    problems, splits, images = _read(root / PROBLEMS), _read(root / SPLITS), _pictures(root)
    if not isinstance(splits.get("train"), list):
        raise ValueError(f"{root / SPLITS} has no list 'train': download it again")
    for name in map(str, splits["train"]):
        problem = problems.get(name)
        if not isinstance(problem, dict):
            yield Rejected(f"{SOURCE}/{name}", SOURCE, "record is no object")
            continue
        named = f"{name}/{problem['image']}" if problem.get("image") else ""
        yield _sample(f"{SOURCE}/{name}", problem, partial(images.find, named) if named else None, named)


def _read(path: Path) -> dict[str, Any]:
    require(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no whole JSON object: download it again")
    return content


def _pictures(root: Path) -> ImageIndex:
    folder = next((root / name for name in PICTURES if (root / name).is_dir()), None)
    if folder is None:
        raise ValueError(f"{root} holds no {' and no '.join(PICTURES)}: unpack the train.zip of ScienceQA there")
    return ImageIndex([folder], exact=True)


def _sample(
    name: str, problem: Mapping[str, Any], find: Callable[[], ImageFile | bytes] | None, named: str = ""
) -> Sample | Rejected:
    try:
        messages = dialogue([question_and_answer(problem)])
        image = find() if find else None
    except ValueError as error:
        return Rejected(name, SOURCE, str(error), named)
    return Sample(
        id=name, part=PART, source=SOURCE, licence=LICENCE, messages=messages, image=image, page=name if image else "",
    )  # fmt: skip

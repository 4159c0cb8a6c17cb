"""VLMEvalKit's tables: for which rows of a benchmark's Parquet files each of their rows stands.

A table has `index`, `image`, `question`, `answer`, options as `A`, `B` ..., `hint`, `category` and `split`; what else
there is, and how answers are written, follows open-compass/VLMEvalKit (vlmeval/dataset/image_*.py and what they use of
utils/). Pictures are read by `files`: `image` is the encoded picture, or several of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from web2code.evaluation.benchmarks.files import NOTHING, Row, listed, parse_list, true_letter
from web2code.evaluation.metrics.choices import lettered

# What questions with yes or no end in there, in whose place the model's own ask stands.
YES_NO_ASK = " Please answer yes or no."


@dataclass(frozen=True)
class Table:
    """How a table is read.

    Args:
        columns: what it must have.
        rows: the Parquet rows that one of its rows stands for: none where it belongs to another split.
    """

    columns: tuple[str, ...]
    rows: Callable[[Row], Iterator[Row]]


def options(row: Row) -> list[str]:
    """A row's options, in order."""
    return [row[letter] for letter in ascii_uppercase if row.get(letter) not in NOTHING]


def chosen(row: Row) -> int:
    """The place of the right option.

    Raises:
        ValueError: the answer is no letter of an option.
    """
    return ascii_uppercase.index(true_letter(row["answer"], lettered(options(row))))


def _ai2d(row: Row) -> Iterator[Row]:
    yield row | {"options": options(row), "answer": str(chosen(row))}


def _chartqa(row: Row) -> Iterator[Row]:
    half = "human_test" if "human" in row["split"] else "augmented_test"
    # Numbers in brackets are one answer, as in the Parquet files.
    is_list = row["answer"].startswith(("['", '["'))
    yield row | {"type": half, "answer": listed(row["answer"]) if is_list else row["answer"]}


def _documents(row: Row) -> Iterator[Row]:
    yield row | {"questionId": row["index"], "answers": listed(row["answer"])}


def _gqa(row: Row) -> Iterator[Row]:
    yield row | {"id": row["index"], "imageId": row["index"]}


def _mathvista(row: Row) -> Iterator[Row]:
    # A number's decimals say what its column `precision` says, where there is none.
    decimals = len(row["answer"].partition(".")[2]) if row["answer_type"] == "float" else None
    choices = [] if row["choices"] in NOTHING else parse_list(row["choices"])
    yield row | {
        "pid": row["index"], "decoded_image": row["image"], "choices": choices, "precision": decimals,
        "query": row["question"], "metadata": {"task": row.get("task")},
    }  # fmt: skip


def _mme(row: Row) -> Iterator[Row]:
    yield row | {"question_id": row["image_path"]}


def _mmmu(row: Row) -> Iterator[Row]:
    if row["split"] != "validation":
        return
    several: list[Any] = row["image"] if isinstance(row["image"], list) else [row["image"]]
    shown = {f"image_{number}": image for number, image in enumerate(several, start=1)}
    given = options(row)
    if row["question_type"] == "open" and given:  # its answer stands beside "Other Answers"
        yield row | shown | {"options": "[]", "answer": given[chosen(row)]}
    else:
        yield row | shown | {"options": repr(given)}


def _ocrbench(row: Row) -> Iterator[Row]:
    kind = row["category"]
    dataset = "HME100k" if kind == "Handwritten Mathematical Expression Recognition" else "unknown"
    yield row | {"question_type": kind, "answer": listed(row["answer"]), "dataset": dataset}


def _pope(row: Row) -> Iterator[Row]:
    # A question that several splits ask stands there once.
    for split in row["category"].split(","):
        asked = row["question"].removesuffix(YES_NO_ASK)
        yield row | {"question_id": row["index"], "question": asked, "category": split.strip()}


def _scienceqa(row: Row) -> Iterator[Row]:
    hint = "" if row.get("hint") in NOTHING else row["hint"]
    yield row | {"choices": options(row), "answer": chosen(row), "hint": hint, "subject": row.get("category")}


def _textvqa(row: Row) -> Iterator[Row]:
    yield row | {"question_id": row["index"], "answers": listed(row["answer"])}


CHOICE = ("index", "question", "A", "B", "answer", "image")
SHORT = ("index", "question", "answer", "image")
AI2D = Table(CHOICE, _ai2d)
CHARTQA = Table((*SHORT, "split"), _chartqa)
DOCUMENTS = Table(SHORT, _documents)
GQA = Table(SHORT, _gqa)
MATHVISTA = Table((*SHORT, "choices", "question_type", "answer_type"), _mathvista)
MME = Table((*SHORT, "image_path", "category"), _mme)
MMMU = Table((*CHOICE, "id", "question_type", "split"), _mmmu)
OCRBENCH = Table((*SHORT, "category"), _ocrbench)
POPE = Table((*SHORT, "category"), _pope)
SCIENCEQA = Table(CHOICE, _scienceqa)
TEXTVQA = Table(SHORT, _textvqa)

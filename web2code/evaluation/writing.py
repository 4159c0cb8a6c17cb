"""A model's answers to everything it is asked in an evaluation, written as they come."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from web2code.config import EvaluationConfig
from web2code.evaluation.journal import Journal
from web2code.modelling.prompts import CODE_PROMPT
from web2code.progress import report

ANSWER_TOKENS = 4
BATCH = 64


@dataclass(frozen=True)
class Screenshot:
    """A real screenshot without reference HTML; `problem` says why it cannot be used."""

    id: str
    png: bytes
    problem: str = ""


@dataclass(frozen=True)
class Ask:
    """One thing that the model is asked."""

    key: str
    image: bytes
    prompt: str
    max_new_tokens: int


def asks(
    rows: Sequence[dict[str, Any]], screenshots: Sequence[Screenshot], evaluation: EvaluationConfig
) -> Iterator[Ask]:
    """Every held-out page's HTML and questions, then the HTML of real screenshots."""
    for row in rows:
        yield Ask(f"page/{row['id']}", row["image"], CODE_PROMPT, evaluation.max_new_tokens)
    for shot in screenshots:
        if not shot.problem:
            yield Ask(f"screenshot/{shot.id}", shot.png, CODE_PROMPT, evaluation.max_new_tokens)
    for row in rows:
        for number, item in enumerate(row["questions"]):
            yield Ask(f"question/{row['id']}/{number}", row["image"], item["question"], ANSWER_TOKENS)


def answers_to(kind: str, answers: dict[str, str]) -> dict[str, str]:
    """The answers to asks of one kind (`page`, `screenshot`), by what they are about."""
    return {key.removeprefix(f"{kind}/"): text for key, text in answers.items() if key.startswith(f"{kind}/")}


def batches(todo: Iterable[Ask]) -> Iterator[list[Ask]]:
    """Runs of at most `BATCH` that may be answered together: a batch is as slow as its longest answer."""
    for _, group in groupby(todo, key=lambda ask: ask.max_new_tokens):
        run = list(group)
        yield from (run[start : start + BATCH] for start in range(0, len(run), BATCH))


def write_answers(
    name: str,
    checkpoint: str,
    path: str,
    rows: Sequence[dict[str, Any]],
    screenshots: Sequence[Screenshot],
    evaluation: EvaluationConfig,
    device: str = "cpu",
) -> Iterator[dict[str, str]]:
    """Answers by key, a batch at a time, always the same batches.

    Each batch is appended to `path` before it is yielded, and one that an earlier try left there complete is not asked
    for again. An incomplete one is, as a whole: an answer may depend on its batch in the last bits.
    """
    from web2code.modelling.generation import Generator  # heavy: only a writer needs it

    answers = read_answers(Path(path))
    generator = None
    todo = list(asks(rows, screenshots, evaluation))
    done = 0
    for batch in batches(todo):
        if not all(ask.key in answers for ask in batch):
            generator = generator or Generator(Path(checkpoint), device)
            texts = generator.generate(
                [ask.image for ask in batch], [ask.prompt for ask in batch], batch[0].max_new_tokens
            )
            answers |= {ask.key: text for ask, text in zip(batch, texts, strict=True)}
            with Path(path).open("a") as stream:
                stream.writelines(json.dumps({"key": ask.key, "text": answers[ask.key]}) + "\n" for ask in batch)
        done += len(batch)
        report(f"write {name}", done, len(todo), "answers")
        yield {ask.key: answers[ask.key] for ask in batch}


def read_answers(path: Path) -> dict[str, str]:
    """Complete lines of an answers file; one that a kill cut off is removed. Of two for a key the last holds."""
    return {key: entry["text"] for key, entry in Journal(path).entries.items()}

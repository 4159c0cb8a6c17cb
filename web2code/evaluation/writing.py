"""A model's answers to everything it is asked in an evaluation, written as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from web2code.config import EvaluationConfig
from web2code.modelling.generation import Generator
from web2code.modelling.prompts import CODE_PROMPT, question_prompt
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
            yield Ask(f"question/{row['id']}/{number}", row["image"], question_prompt(item["question"]), ANSWER_TOKENS)


def write_answers(
    name: str,
    checkpoint: str,
    path: str,
    rows: Sequence[dict[str, Any]],
    screenshots: Sequence[Screenshot],
    evaluation: EvaluationConfig,
) -> dict[str, str]:
    """Answers by key. Each batch is appended to `path` at once; what an earlier try left there is not asked again."""
    answers = read_answers(Path(path))
    todo = [ask for ask in asks(rows, screenshots, evaluation) if ask.key not in answers]
    generator = Generator(Path(checkpoint)) if todo else None
    for start in range(0, len(todo), BATCH):
        batch = todo[start : start + BATCH]
        limit = max(ask.max_new_tokens for ask in batch)
        texts = generator.generate([ask.image for ask in batch], [ask.prompt for ask in batch], limit)
        lines = {ask.key: text for ask, text in zip(batch, texts, strict=True)}
        with Path(path).open("a") as stream:
            stream.writelines(json.dumps({"key": key, "text": text}) + "\n" for key, text in lines.items())
        answers |= lines
        report(f"write {name}", start + len(batch), len(todo), "answers")
    return answers


def read_answers(path: Path) -> dict[str, str]:
    """Complete lines of an answers file; one that was cut off by a kill is removed."""
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        path.write_bytes(whole)
    lines = [json.loads(line) for line in whole.splitlines()]
    return {line["key"]: line["text"] for line in lines}

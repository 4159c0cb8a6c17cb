"""What a model is asked in the evaluation of a run: pages, questions about them, and real screenshots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from web2code.config import EvaluationConfig
from web2code.evaluation.engines.engine import Request
from web2code.evaluation.screenshots import Screenshot
from web2code.modelling.templates import CODE_PROMPT

ANSWER_TOKENS = 4
BATCH = 64


def asks(
    rows: Sequence[dict[str, Any]], screenshots: Sequence[Screenshot], evaluation: EvaluationConfig
) -> Iterator[Request]:
    """Every held-out page's HTML and questions, then the HTML of real screenshots."""
    for row in rows:
        yield Request(f"page/{row['id']}", (row["image"],), CODE_PROMPT, evaluation.max_new_tokens)
    for shot in screenshots:
        if not shot.problem:
            yield Request(f"screenshot/{shot.id}", (shot.png,), CODE_PROMPT, evaluation.max_new_tokens)
    for row in rows:
        for number, item in enumerate(row["questions"]):
            yield Request(f"question/{row['id']}/{number}", (row["image"],), item["question"], ANSWER_TOKENS)


def bundles(todo: Iterable[Request]) -> Iterator[list[Request]]:
    """Runs of at most `BATCH` that may be answered together: a batch is as slow as its longest answer."""
    for _, group in groupby(todo, key=lambda request: request.max_new_tokens):
        run = list(group)
        yield from (run[start : start + BATCH] for start in range(0, len(run), BATCH))

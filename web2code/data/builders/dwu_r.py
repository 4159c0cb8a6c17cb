"""DWU_R: WebSRC without its duplicates, and with its extracted answers as sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from web2code.data.sample import Rejected, Sample, dialogue
from web2code.data.writers.writer import Writer, WriterError

PART = "DWU_R"


def refine_questions(sample: Sample, writer: Writer) -> Sample | Rejected:
    """One conversation a page; of questions with the same answer the first is kept, as the paper does."""
    pairs = without_duplicates(sample.pairs())
    try:
        answers = writer.sentences(sample.id, pairs)
    except WriterError as error:
        return Rejected(sample.id, sample.source, str(error))
    questions = [question for question, _ in pairs]
    return replace(sample, part=PART, messages=dialogue(zip(questions, answers, strict=True)))


def without_duplicates(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The first question of each answer; yes/no answers are told apart by their question."""
    kept: dict[str, tuple[str, str]] = {}
    for question, answer in pairs:
        key = " ".join(answer.lower().split())
        if key in ("yes", "no"):
            key += " " + " ".join(question.lower().split())
        kept.setdefault(key, (question, answer))
    return list(kept.values())

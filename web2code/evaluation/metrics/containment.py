"""Containment: whether an answer holds a true one (OCRBench and LLaVAR's line of text benchmarks)."""

from __future__ import annotations

from collections.abc import Sequence

from web2code.evaluation.metrics.composed import composed
from web2code.evaluation.metrics.vqa import normalise

# Full-width characters of Chinese and Japanese texts, as their ASCII twins.
FULL_WIDTH = {0xFF01 + offset: 0x21 + offset for offset in range(94)} | {0x3000: 0x20}
# The published text benchmarks leave out truths that are shorter: they are contained by accident.
MIN_LENGTH = 4
# What may touch a word and is no part of it; the normalisation leaves these.
AROUND = ".:*'#"


def contains(answer: str, truths: Sequence[str]) -> bool:
    """Whether a true answer is a substring; case, line breaks and width do not count (OCRBench, arXiv 2305.07895)."""
    found = _fold(answer)
    return any(truth in found for truth in map(_fold, truths) if truth)


def contains_formula(answer: str, truths: Sequence[str]) -> bool:
    """Whether a true formula is a substring without regard to white space; case counts (OCRBench, HME100k)."""
    found = "".join(answer.split())
    return any(truth in found for truth in ("".join(truth.split()) for truth in truths) if truth)


def contains_words(answer: str, truths: Sequence[str]) -> bool:
    """Whether the words of a true answer stand in the answer one after the other, both normalised as in VQA.

    After LLaVAR's script (arXiv 2306.17107), whose word boundaries do not see signs such as the `$` of `$5`. A true
    answer of which normalising leaves nothing (`A`, `#`) has to be all of the answer.
    """
    found, whole = f" {_words(answer)} ", _plain(answer)
    return any(f" {words} " in found if (words := _words(truth)) else whole == _plain(truth) != "" for truth in truths)


def long_truths(truths: Sequence[str]) -> list[str]:
    """The true answers that the published containment scripts keep."""
    return [truth for truth in truths if len(truth) >= MIN_LENGTH]


def _words(text: str) -> str:
    return " ".join(filter(None, (word.strip(AROUND) for word in normalise(composed(text)).split())))


def _plain(text: str) -> str:
    return " ".join(composed(text).lower().split())


def _fold(text: str) -> str:
    return text.translate(FULL_WIDTH).lower().strip().replace("\n", " ")

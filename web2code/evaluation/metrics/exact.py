"""Exact match of a word or phrase (GQA, SROIE)."""

from __future__ import annotations

import string

PUNCTUATION = str.maketrans("", "", string.punctuation)


def exact_match(answer: str, truth: str) -> bool:
    """Equal without regard to case, punctuation and white space around words."""
    first, second = (text.lower().translate(PUNCTUATION).split() for text in (answer, truth))
    return first == second


def exact_match_lmms_eval(answer: str, truth: str) -> bool:
    """The same as lmms-eval has it for GQA (`exact_match` without case and punctuation): a space more is wrong."""
    first, second = (text.lower().translate(PUNCTUATION) for text in (answer, truth))
    return first == second

"""Exact match of a word or phrase (GQA), or of a value (FUNSD, SROIE)."""

from __future__ import annotations

import re
import string

from web2code.evaluation.metrics.composed import composed

PUNCTUATION = str.maketrans("", "", string.punctuation)
# All but what stands between digits; of that the commas of thousands.
AROUND_NUMBERS = re.compile(r"(?<!\d)[{0}]|[{0}](?!\d)|,(?=\d{{3}}(?!\d))".format(re.escape(string.punctuation)))


def exact_match(answer: str, truth: str) -> bool:
    """Equal without regard to case, punctuation and white space around words."""
    first, second = (composed(text).lower().translate(PUNCTUATION).split() for text in (answer, truth))
    return first == second


def exact_match_of_values(answer: str, truth: str) -> bool:
    """The same, but `10.50` is not `1050`: between digits punctuation counts, if it is no comma of thousands."""
    first, second = (AROUND_NUMBERS.sub("", composed(text).lower()).split() for text in (answer, truth))
    return first == second


def exact_match_lmms_eval(answer: str, truth: str) -> bool:
    """The same as lmms-eval has it for GQA (`exact_match` without case and punctuation): a space more is wrong."""
    first, second = (text.lower().translate(PUNCTUATION) for text in (answer, truth))
    return first == second

"""Open questions of MMMU: the parts of an answer that may be the true one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from web2code.evaluation.metrics.composed import composed

INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
TRIVIAL = set(":,.!?;'")
# As in MMMU's eval_utils.py, written so that a number is tried from its first digit alone.
COMMAS = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b")
SCIENTIFIC = re.compile(r"-?(?<!\d)\d++(?:\.\d++)?[eE][+-]?\d+")
SIMPLE = re.compile(r"-?(?:(?<!\d)\d++\.\d++|\.\d++|(?<!\d)\d++\b)(?![eE][+-]?\d)(?![,\d])")
SENTENCE = re.compile(r"\.\s(?=[A-Z])|\n")
AROUND = " .,:;!?*()[]\"'`"


def open_match(answer: str, truths: Sequence[str]) -> bool:
    """Whether one of the parts that may be the answer holds a true one: as a number rounded to hundredths, or as words.

    The parts are found as MMMU's script does, but sentences are told apart, and `cat` is not in `category`.
    """
    parts = _key_parts([sentence.strip().strip(".").lower() for sentence in SENTENCE.split(answer.strip())])
    numbers, words = _candidates(parts)
    phrases = [f" {_plain(word)} " for word in words]
    for truth in truths:
        number = _number(truth)
        if number in numbers if number is not None else any(f" {_plain(truth)} " in phrase for phrase in phrases):
            return True
    return False


def open_match_lmms_eval(answer: str, truths: Sequence[str]) -> bool:
    """The same as lmms-eval has it (mmmu/utils.py): a true text may be part of a word."""
    # It lowers the text before it looks for capitals that start a sentence, so that lines alone are told apart.
    parts = _key_parts(answer.strip().strip(".").lower().split("\n"))
    numbers, words = _candidates(parts)
    normalised = [_normalised(word) for word in words]
    for truth in truths:
        number = _number(truth)
        if number is not None:
            if number in numbers:
                return True
        elif any(form in other for form in _normalised(truth) for pair in normalised for other in pair):
            return True
    return False


def _key_parts(sentences: Sequence[str]) -> list[str]:
    """What follows the last indicator of each sentence; all of the answer where no sentence has one."""
    parts = []
    for number, sentence in enumerate(sentences):
        # The last sentence may be an equation.
        indicators = (*INDICATORS, "=") if number == len(sentences) - 1 else INDICATORS
        shortest = _shortest_tail(sentence, indicators)
        if shortest and shortest not in TRIVIAL:
            parts.append(shortest)
    return parts or ["\n".join(sentences)]


def _shortest_tail(sentence: str, indicators: Sequence[str]) -> str:
    shortest = ""
    for indicator in indicators:
        if indicator in sentence:
            tail = sentence.rpartition(indicator)[2].strip()
            # As published: after an empty tail the next one counts.
            if not shortest or len(tail) < len(shortest):
                shortest = tail
    return shortest


def _candidates(parts: Sequence[str]) -> tuple[set[float], list[str]]:
    """Every number of the parts, and the parts that are no numbers."""
    patterns = (COMMAS, SCIENTIFIC, SIMPLE)
    found = [*parts, *(number for part in parts for pattern in patterns for number in pattern.findall(part))]
    numbers = {number for text in found if (number := _number(text)) is not None}
    return numbers, [part for part in parts if _number(part) is None]


def _number(text: str) -> float | None:
    try:
        return round(float(text.strip().replace(",", "")), 2)
    except ValueError:
        return None


def _normalised(text: str) -> tuple[str, ...]:
    text = text.strip().lower()
    return (f" {text}", f"{text} ") if len(text) == 1 else (text,)


def _plain(text: str) -> str:
    return " ".join(word.strip(AROUND) for word in composed(text).casefold().split())

"""MathVista (arXiv 2310.02255): answers brought to the type that the question asks for, without a language model."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from typing import Literal

from web2code.evaluation.metrics.anls import levenshtein
from web2code.evaluation.metrics.choices import infer_choice, lettered
from web2code.evaluation.metrics.composed import composed

AnswerType = Literal["text", "integer", "float", "list"]
# A minus sign is one unless something is subtracted: 3-5 holds 3 and 5.
NUMBER = re.compile(r"(?:(?<![\w.])-)?(?:\d[\d,]*+(?:\.\d++)?|\.\d++)(?:[eE][-+]?\d{1,2}\b)?")
LIST = re.compile(r"\[[^\[\]]*\]")
MAX_LIST = 1000


def extract(answer: str, choices: Sequence[str], answer_type: AnswerType) -> str | None:
    """What a reply gives as its answer: the choice that it names, its last number or its last list; None without one.

    Questions ask for the final value at the end, so the last one counts.
    """
    if choices:
        letter = infer_choice(answer, lettered(choices))
        return lettered(choices)[letter] if letter else None
    if answer_type == "list":
        found = LIST.findall(answer)
    elif answer_type in ("integer", "float"):
        found = [number.replace(",", "") for number in NUMBER.findall(answer)]
    else:
        found = [answer.strip()]
    return found[-1] if found and found[-1] else None


def equal(found: str, truth: str, answer_type: AnswerType, precision: int) -> bool:
    """Whether an extracted answer is the true one: numbers rounded as the question asks, lists item by item."""
    if answer_type == "list":
        items, wanted = _items(found), _items(truth)
        return items is not None and items == wanted
    if answer_type == "text":
        return composed(found) == composed(truth)
    value, target = _number(found), _number(truth)
    if value is None or target is None:
        return False
    return value == target if answer_type == "integer" else round(value, precision) == round(target, precision)


def matches_lmms_eval(answer: str, truth: str, choices: Sequence[str], answer_type: AnswerType, precision: int) -> bool:
    """Whether lmms-eval counts an extracted answer as right (mathvista/mathvista_evals.py), with all of it extracted.

    There a language model extracts it; what it leaves is matched to the choice that is nearest by edit distance, and
    what is behind the point of an integer is cut off.
    """
    found: str | None = answer.strip()
    if choices:
        found = _nearest_choice(answer.strip(), choices)
    elif answer_type in ("integer", "float"):
        value = _number(answer)
        found = None if value is None else str(int(value) if answer_type == "integer" else round(value, precision))
    return str(found).strip() == truth.strip()


def _nearest_choice(answer: str, choices: Sequence[str]) -> str:
    if bracketed := re.search(r"\(([a-zA-Z])\)", answer):
        answer = bracketed[1].upper()
    return lettered(choices).get(answer) or min(choices, key=lambda choice: levenshtein(answer, choice))


def _items(text: str) -> list[float | str] | None:
    """Members of a written list, numbers as such; None where it is none, or too long to be an answer."""
    if len(text) > MAX_LIST:
        return None
    try:
        items = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    if not isinstance(items, list):
        return None
    return [item if isinstance(item, int | float) else str(item) for item in items]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None

"""Relaxed accuracy of ChartQA: numbers may be off by 5 %."""

from __future__ import annotations

import re

TOLERANCE = 0.05
NUMBER = re.compile(r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,2})?")
CURRENCIES = str.maketrans("", "", "$€£¥ ")


def relaxed_match(answer: str, truth: str) -> bool:
    """Whether a number is within 5 % of the true one, or a text equals the true one (arXiv 2203.10244, section 5.1).

    Thousands separators, currency signs, a final full stop and white space around do not matter; `70`, `70%` and `0.7`
    all answer `70%`, and only a zero answers zero.
    """
    first, second = (" ".join(text.split()).removesuffix(".") for text in (answer, truth))
    found, wanted = _number(first), _number(second)
    if found is None or wanted is None:
        return first.lower() == second.lower()
    percent = [0.01 if text.endswith("%") else 1.0 for text in (first, second)]
    return _close(found, wanted) or _close(found * percent[0], wanted * percent[1])


def relaxed_match_lmms_eval(answer: str, truth: str) -> bool:
    """The same as lmms-eval has it (chartqa/utils.py): `1,000` is a text, and zero is matched as one."""
    found, wanted = _lmms_eval_number(answer), _lmms_eval_number(truth)
    if found is not None and wanted:
        return abs(found - wanted) / abs(wanted) <= TOLERANCE
    return answer.lower() == truth.lower()


def _close(found: float, wanted: float) -> bool:
    return abs(found - wanted) / abs(wanted) <= TOLERANCE if wanted else found == 0


def _number(text: str) -> float | None:
    plain = text.removesuffix("%").translate(CURRENCIES)
    return float(plain.replace(",", "")) if NUMBER.fullmatch(plain) else None


def _lmms_eval_number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None

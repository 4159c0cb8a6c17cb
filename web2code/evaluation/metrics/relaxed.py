"""Relaxed accuracy of ChartQA: numbers may be off by 5 %."""

from __future__ import annotations

import re

from web2code.evaluation.metrics.composed import composed

TOLERANCE = 0.05
CURRENCY = "[$€£¥ ]*+"
DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d+)"
NUMBER = re.compile(rf"{CURRENCY}([-+]?){CURRENCY}((?:{DIGITS}(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{{1,2}})?){CURRENCY}")


def relaxed_match(answer: str, truth: str) -> bool:
    """Whether a number is within 5 % of the true one, or a text equals the true one (arXiv 2203.10244, section 5.1).

    Thousands separators (commas or spaces), currency signs around the number, a final full stop and white space around
    do not matter; `70`, `70%` and `0.7` all answer `70%`, and only a zero answers zero.
    """
    first, second = (_plain(text) for text in (answer, truth))
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


def _plain(text: str) -> str:
    """Without white space around and a final full stop; U+2212 is a minus sign as well."""
    return " ".join(composed(text).replace("\N{MINUS SIGN}", "-").split()).removesuffix(".")


def _number(text: str) -> float | None:
    found = NUMBER.fullmatch(text.removesuffix("%"))
    return float(found[1] + found[2].replace(",", "").replace(" ", "")) if found else None


def _lmms_eval_number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None

"""Yes/no answers: how they are read, and what is counted of them (WUB, MME, POPE)."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np

from web2code.evaluation.measure import ratio

Parsed = Literal["yes", "no", "unparsed"]
LETTERS: dict[str, Parsed] = {"y": "yes", "n": "no"}
WORD = re.compile(r"\b(yes|no)\b")


def parse_answer(text: str) -> Parsed:
    """The first whole word `yes` or `no`, or `y` or `n` alone; an answer that has neither is `unparsed`.

    The published scripts look for the letters in the first characters, where `NONE` and `nothing` count as a no.
    """
    text = text.lower()
    if alone := LETTERS.get(text.strip(" .\n")):
        return alone
    found = WORD.search(text)
    return found.group(1) if found else "unparsed"  # type: ignore[return-value]


def matches_published_wub(answer: str, truth: str) -> bool:
    """Whether WUB's script counts an answer as right (webpage_understanding/evaluate.py of MBZUAI-LLM/web2code)."""
    answer, truth = (text.replace("</s>", "").strip().upper() for text in (answer, truth))
    return answer == truth or truth in answer[:5]


def parse_lmms_eval_mme(text: str) -> Literal["yes", "no", "other"]:
    """How lmms-eval reads an answer in MME (mme/utils.py): `yes` or `no` anywhere in the first four characters."""
    text = text.lower().strip().replace(".", "")
    if len(text) == 1:
        return LETTERS.get(text, "other")  # type: ignore[return-value]
    return "yes" if "yes" in text[:4] else "no" if "no" in text[:4] else "other"


def parse_lmms_eval_pope(text: str) -> str:
    """How lmms-eval reads an answer in POPE (pope/utils.py): as it stands, so that `Yes.` is neither yes nor no."""
    return text.lower().strip()


def parse_published_pope(text: str) -> Literal["yes", "no"]:
    """How POPE's and LLaVA's script (eval_pope.py) reads an answer: a no if its first sentence says so, else a yes."""
    words = text.partition(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "no", "not"} & set(words) else "yes"


def confusion(parsed: str, truth: str) -> tuple[bool, bool, bool]:
    """Whether a reading is a true positive, a false positive and a missed positive: whatever is not yes misses one."""
    return parsed == truth == "yes", parsed == "yes" != truth, truth == "yes" != parsed


def precision(sums: np.ndarray) -> np.ndarray:
    """Of (true positives, false positives, missed positives) in the last axis."""
    return ratio(np.stack([sums[..., 0], sums[..., 0] + sums[..., 1]], axis=-1))


def recall(sums: np.ndarray) -> np.ndarray:
    """Of (true positives, false positives, missed positives) in the last axis."""
    return ratio(np.stack([sums[..., 0], sums[..., 0] + sums[..., 2]], axis=-1))


def f1(sums: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall; 0 where both are."""
    first, second = precision(sums), recall(sums)
    return ratio(np.stack([2 * (first * second), first + second], axis=-1))


def balanced_accuracy(sums: np.ndarray) -> np.ndarray:
    """Mean recall of the classes that there are, of (right yes, all yes, right no, all no) in the last axis."""
    recalls = ratio(sums[..., 0:2]) + ratio(sums[..., 2:4])
    return ratio(np.stack([recalls, (sums[..., [1, 3]] > 0).sum(axis=-1)], axis=-1))


def majority(sums: np.ndarray) -> np.ndarray:
    """Accuracy of whoever always gives the commoner answer, of sums as in `balanced_accuracy`."""
    return ratio(np.stack([sums[..., [1, 3]].max(axis=-1), sums[..., 1] + sums[..., 3]], axis=-1))

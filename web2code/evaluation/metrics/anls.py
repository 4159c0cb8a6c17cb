"""ANLS, the normalised edit similarity of short answers (DocVQA, InfoVQA, ST-VQA)."""

from __future__ import annotations

from collections.abc import Sequence

from web2code.evaluation.metrics.composed import composed

THRESHOLD = 0.5


def anls(answer: str, truths: Sequence[str]) -> float:
    """The best similarity of the answer to one of the truths, 0 unless above one half (arXiv 1905.13648, eq. 1)."""
    found, *known = (_plain(composed(text)) for text in (answer, *truths))
    scores = [_similarity(found, truth, max(len(found), len(truth))) for truth in known]
    best = max(scores, default=0.0)
    return best if best > THRESHOLD else 0.0


def anls_lmms_eval(answer: str, truths: Sequence[str]) -> float:
    """The same as lmms-eval has it (api/metrics.py): lengths are those of the untidied texts, and one half is kept."""
    found = _plain(answer)
    lengths = [max(len(answer.upper()), len(truth.upper())) for truth in truths]
    scores = [_similarity(found, _plain(truth), length) for truth, length in zip(truths, lengths, strict=True)]
    best = max(scores, default=0.0)
    return best if best >= THRESHOLD else 0.0


def levenshtein(first: str, second: str) -> int:
    """Edit distance, by the bit-parallel algorithm of Myers in Hyyrö's form: one step for each character."""
    short, long = sorted((first, second), key=len)
    if not short:
        return len(long)
    where: dict[str, int] = {}
    for place, character in enumerate(short):
        where[character] = where.get(character, 0) | 1 << place
    mask, last = (1 << len(short)) - 1, 1 << (len(short) - 1)
    positive, negative, distance = mask, 0, len(short)
    for character in long:
        equal = where.get(character, 0)
        diagonal = (((equal & positive) + positive) ^ positive) | equal | negative
        rises = negative | ~(diagonal | positive) & mask
        falls = diagonal & positive
        distance += bool(rises & last) - bool(falls & last)
        rises = rises << 1 | 1
        positive = (falls << 1 | ~(diagonal | rises)) & mask
        negative = rises & diagonal & mask
    return distance


def _similarity(found: str, truth: str, length: int) -> float:
    # A distance is at least the difference of the lengths: an answer that is far too long need not be compared.
    if length and 1 - abs(len(found) - len(truth)) / length < THRESHOLD:
        return 0.0
    return 1 - (levenshtein(found, truth) / length if length else 0.0)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())

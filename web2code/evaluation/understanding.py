"""WUB: yes/no questions about screenshots."""

from __future__ import annotations

from collections.abc import Sequence

from web2code.config import Understanding
from web2code.evaluation.metrics.yes_no import parse_answer
from web2code.evaluation.statistics import bootstrap_interval


def score_understanding(gold: Sequence[str], answers: Sequence[str], samples: int, seed: int) -> Understanding:
    """Accuracy over all questions, with what shows whether the model merely prefers one answer.

    Args:
        gold: `Yes` or `No` for every question.
        answers: what the model wrote.
    """
    truth = [answer.lower() for answer in gold]
    parsed = [parse_answer(answer) for answer in answers]
    correct = [float(one == other) for one, other in zip(truth, parsed, strict=True)]
    by_class = [[hit for hit, answer in zip(correct, truth, strict=True) if answer == label] for label in ("yes", "no")]
    recalls = [sum(hits) / len(hits) for hits in by_class if hits]
    num = len(truth)
    return Understanding(
        accuracy=sum(correct) / num if num else 0.0,
        num=num,
        unparsed=parsed.count("unparsed"),
        interval=bootstrap_interval(correct, samples, seed),
        balanced_accuracy=sum(recalls) / len(recalls) if recalls else 0.0,
        yes_ratio=parsed.count("yes") / num if num else 0.0,
        majority=max(truth.count("yes"), truth.count("no")) / num if num else 0.0,
    )

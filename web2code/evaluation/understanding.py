"""WUB: yes/no questions about screenshots."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from web2code.config import Interval, Understanding
from web2code.evaluation.benchmarks.verdicts import spoken
from web2code.evaluation.measure import Measure, interval, ratio
from web2code.evaluation.metrics.yes_no import balanced_accuracy, majority, parse_answer


def score_understanding(
    gold: Sequence[str], answers: Sequence[str], pages: Sequence[str], samples: int, seed: int
) -> Understanding:
    """Accuracy over all questions, with what shows whether the model merely prefers one answer.

    Intervals are over pages: a page that is hard to see makes several questions hard.

    Args:
        gold: `Yes` or `No` for every question.
        answers: what the model wrote, thoughts included.
        pages: the page that each question is about.
    """
    truth = np.array([answer.lower() for answer in gold], str)
    parsed = np.array([parse_answer(spoken(answer)) for answer in answers], str)
    right, is_yes = truth == parsed, truth == "yes"
    numbers = {page: number for number, page in enumerate(dict.fromkeys(pages))}

    def over_pages(columns: Sequence[np.ndarray], figure: Callable[[np.ndarray], np.ndarray]) -> Interval:
        terms = np.zeros((len(numbers), len(columns)))
        np.add.at(terms, [numbers[page] for page in pages], np.stack(columns, axis=1).astype(float))
        return interval(Measure("", tuple(numbers), terms, figure), samples, seed)

    every = np.ones(len(truth))
    by_class = (right & is_yes, is_yes, right & ~is_yes, ~is_yes)
    accuracy, balanced = over_pages((right, every), ratio), over_pages(by_class, balanced_accuracy)
    yes, unparsed = (over_pages((parsed == said, every), ratio) for said in ("yes", "unparsed"))
    return Understanding(
        accuracy=accuracy.mean,
        num=len(truth),
        unparsed=int((parsed == "unparsed").sum()),
        interval=accuracy,
        balanced_accuracy=balanced.mean,
        yes_ratio=yes.mean,
        majority=over_pages(by_class, majority).mean,
        intervals={"balanced_accuracy": balanced, "yes_ratio": yes, "unparsed": unparsed},
    )

"""From an answer to a verdict: which answers say nothing, and the form of prompts that ask for short ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps

from web2code.evaluation.answers import without_thoughts
from web2code.evaluation.benchmarks.benchmark import Sample, Verdict

# As LLaVA-1.5 was trained to understand them (arXiv 2310.03744).
SHORT = "\nAnswer the question using a single word or phrase."
LETTER = "\nAnswer with the option's letter from the given choices directly."
# Sixteen characters for each of the most tokens that are asked for; what is longer cannot make judging slow.
MAX_ANSWER = 16_384

Judge = Callable[[Sample, str], Verdict]


def bounded(judge: Judge) -> Judge:
    """The same judge, who sees no thoughts, and to whom what has more than `MAX_ANSWER` characters says nothing."""

    @wraps(judge)
    def judged(sample: Sample, answer: str) -> Verdict:
        said = spoken(answer)
        if len(said) > MAX_ANSWER:
            return Verdict(sample.id, "unparsed", reason=f"the answer has {len(said):,} characters")
        return judge(sample, said)

    return judged


def spoken(answer: str) -> str:
    """What an answer says besides its thoughts, and without white space around it where it has some."""
    said = without_thoughts(answer)
    return answer if said == answer else said.strip()


def verdict(sample: Sample, unparsed: str, ours: Mapping[str, float], published: Mapping[str, float]) -> Verdict:
    """A verdict with the values of our own rules and of published ones.

    Args:
        unparsed: why the answer says nothing, if it does. Then our own rules give nothing, published ones may.
    """
    if unparsed:
        return Verdict(sample.id, "unparsed", {key: float(value) for key, value in published.items()}, unparsed)
    return Verdict(sample.id, "scored", {key: float(value) for key, value in {**ours, **published}.items()})


def blank(answer: str) -> str:
    """Why an answer in free form says nothing; empty where it does say something."""
    return "" if answer.strip() else "the answer is blank"


def lettered_lines(options: Mapping[str, str]) -> str:
    """Options as lines `A. ...`."""
    return "\n".join(f"{letter}. {option}" for letter, option in options.items())

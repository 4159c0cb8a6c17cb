"""IFD, VFD, mIFD and FFD as ratios of mean negative log-likelihoods of answers.

L(A | C) is the mean over the tokens of answer A alone, given context C. With question Q and picture I:

    IFD  = L(A | Q) / L(A)               (Cherry LLM, arXiv 2308.12032)
    VFD  = L(A | I, Q) / L(A | Q)        (LLaVAR-2, arXiv 2412.16364)
    mIFD = VFD * IFD                     (by one model it telescopes to L(A | I, Q) / L(A))
    FFD  = L(sA | I, eQ, eA, sQ) / L(sA | I, sQ)

FFD looks at an explanation (sQ, sA) with and without the extraction (eQ, eA) that it explains. A ratio below 1 says
that the context helps. LLaVAR-2's released code scores other spans: for IFD the whole chat, for VFD the question too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from web2code.config import ScoreName

GROUP = 2


@dataclass(frozen=True)
class Request:
    """An answer whose likelihood is wanted, after `context` (questions and answers in turn) and maybe the picture."""

    context: tuple[str, ...]
    answer: str
    with_picture: bool


@dataclass(frozen=True)
class Ratio:
    """One score of one pair: `turn` counts pairs in the conversation."""

    turn: int
    name: ScoreName
    numerator: float
    denominator: float

    @property
    def value(self) -> float:
        """The score."""
        return self.numerator / self.denominator


Terms = tuple[Request, Request]


def terms(name: ScoreName, pairs: Sequence[tuple[str, str]], has_picture: bool) -> dict[int, Terms]:
    """By turn, the two requests whose ratio is the score; turns that it is not defined for are left out."""
    if name == "ffd":
        return _explanations(pairs) if has_picture else {}
    if name in ("vfd", "mifd") and not has_picture:
        return {}
    made = {}
    for turn, (question, answer) in enumerate(pairs):
        seen = Request((question,), answer, with_picture=True)
        asked = Request((question,), answer, with_picture=False)
        alone = Request((), answer, with_picture=False)
        made[turn] = {"ifd": (asked, alone), "vfd": (seen, asked), "mifd": (seen, alone)}[name]
    return made


def ratios(
    names: Sequence[ScoreName],
    pairs: Sequence[tuple[str, str]],
    has_picture: bool,
    likelihoods: Mapping[Request, float],
) -> list[Ratio]:
    """The scores of a conversation whose terms all have a likelihood."""
    return [
        Ratio(turn, name, likelihoods[above], likelihoods[below])
        for name in names
        for turn, (above, below) in terms(name, pairs, has_picture).items()
        if above in likelihoods and likelihoods.get(below)
    ]


def _explanations(pairs: Sequence[tuple[str, str]]) -> dict[int, Terms]:
    made = {}
    for turn in range(GROUP - 1, len(pairs), GROUP):
        (extraction, fact), (ask, explanation) = pairs[turn - 1], pairs[turn]
        made[turn] = (
            Request((extraction, fact, ask), explanation, with_picture=True),
            Request((ask,), explanation, with_picture=True),
        )
    return made

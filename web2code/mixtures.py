"""Mixtures: which parts a model is trained on, how often each sample is seen, and what the licences make of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from math import floor

import numpy as np

from web2code.config import Mixture, PartShare
from web2code.data.licences import restriction

GENERAL = PartShare(part="mix665k")
CAPTIONS = (PartShare(part="LCS-558K"),)


def none() -> Mixture:
    """LLaVA-1.5's data alone: the row of the published ablation without web data."""
    return Mixture(name="none", align=CAPTIONS, instruct=(GENERAL,))


def dwcg() -> Mixture:
    """With the new code pairs."""
    return _with(none(), "dwcg", "DWCG")


def dwu() -> Mixture:
    """With the new page questions."""
    return _with(none(), "dwu", "DWU")


def dwcg_dwu() -> Mixture:
    """With new code pairs and new questions."""
    return _with(dwcg(), "dwcg+dwu", "DWU")


def dwcg_dwu_dwcg_r() -> Mixture:
    """With new code pairs, new questions and refined code pairs."""
    return _with(dwcg_dwu(), "dwcg+dwu+dwcg_r", "DWCG_R")


def all_parts() -> Mixture:
    """All four parts, as CrystalChat-7B-Web2Code was trained."""
    return _with(dwcg_dwu_dwcg_r(), "all", "DWU_R")


def scienceqa() -> Mixture:
    """ScienceQA alone, as the first LLaVA was fine-tuned on it."""
    return Mixture(name="scienceqa", align=CAPTIONS, instruct=(PartShare(part="ScienceQA"),))


def llavar2() -> Mixture:
    """Captions and pairs of LLaVAR-2 beside LLaVA-1.5's data (inferred: the published scripts name private files)."""
    return Mixture(
        name="llavar2",
        align=(*CAPTIONS, PartShare(part="LLaVAR-2-captions")),
        instruct=(GENERAL, PartShare(part="LLaVAR-2")),
    )


MIXTURES: dict[str, Callable[[], Mixture]] = {
    "none": none,
    "dwcg": dwcg,
    "dwu": dwu,
    "dwcg+dwu": dwcg_dwu,
    "dwcg+dwu+dwcg_r": dwcg_dwu_dwcg_r,
    "all": all_parts,
    "scienceqa": scienceqa,
    "llavar2": llavar2,
}


def resolve_mixture(name: str) -> Mixture:
    """The mixture called `name`.

    Raises:
        ValueError: there is none; the message lists those that there are.
    """
    if name not in MIXTURES:
        raise ValueError(f"unknown mixture {name!r}: choose one of {', '.join(MIXTURES)}")
    return MIXTURES[name]()


def draw(ids: Sequence[str], share: PartShare, seed: int) -> np.ndarray:
    """Positions of one part's samples in an epoch, each as often as it is seen; order follows `ids`.

    The cap keeps the samples whose hash is lowest, so that a larger cap keeps them all and adds some; a weight of 2.3
    shows every sample twice and three in ten, chosen by hash, a third time. A pure function of its arguments.
    """
    ranks = np.array([_rank(name, seed) for name in ids], np.float64)
    kept = np.arange(len(ids))
    if share.cap is not None and share.cap < len(ids):
        kept = np.sort(np.argsort(ranks, kind="stable")[: share.cap])
    whole = floor(share.weight)
    times = whole + (_fractions(ids, kept, seed) < share.weight - whole)
    return np.repeat(kept, times)


def mixture_restriction(shares: Iterable[PartShare], licences: dict[str, tuple[str, ...]]) -> str:
    """What the licences of the parts in a mixture make of a model: `non-commercial`, `unclear` or `commercial`."""
    return restriction(licence for share in shares for licence in licences.get(share.part, ("",)))


def _with(mixture: Mixture, name: str, part: str) -> Mixture:
    return Mixture(name=name, align=mixture.align, instruct=(*mixture.instruct, PartShare(part=part)))


def _rank(name: str, seed: int) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:6], "big") / 2**48


def _fractions(ids: Sequence[str], kept: np.ndarray, seed: int) -> np.ndarray:
    return np.array([_rank(f"again/{ids[i]}", seed) for i in kept], np.float64)

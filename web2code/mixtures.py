"""Mixtures: which parts a model is trained on, how often each sample is seen, and what the licences make of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from web2code.config import Mixture, PartShare

GENERAL = PartShare(part="mix665k")
CAPTIONS = (PartShare(part="LCS-558K"),)
# One sample in twenty of an epoch, where a page has five questions.
QUESTION_WEIGHT = 0.0107


def pages() -> Mixture:
    """Pages of the generator or of a folder: captions, then code with a few yes/no questions, others in every epoch."""
    return Mixture(
        name="pages",
        align=(PartShare(part="captions"),),
        instruct=(PartShare(part="DWCG"), PartShare(part="WUB", weight=QUESTION_WEIGHT, turns="apart")),
    )


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
    "pages": pages,
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


def capped(ids: Sequence[str], cap: int, seed: int) -> set[str]:
    """The ids whose hash is lowest, so that a larger cap keeps them all and adds some."""
    return set(sorted(ids, key=lambda name: _rank(name, seed))[:cap])


def _with(mixture: Mixture, name: str, part: str) -> Mixture:
    return Mixture(name=name, align=mixture.align, instruct=(*mixture.instruct, PartShare(part=part)))


def _rank(name: str, seed: int) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:6], "big") / 2**48

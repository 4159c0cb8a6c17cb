"""How an optimizer treats each of a CrystalCoder's parameters under muP."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

EMBEDDING = re.compile(r"(^|\.)(embed_tokens|wte)\.weight$")
NORM_OR_BIAS = re.compile(r"(^|\.)ln_(1|2|f)\.weight$|\.bias$")


@dataclass(frozen=True)
class Treatment:
    """The share of the learning rate that a parameter is updated with, and whether it decays."""

    learning_rate_share: float
    weight_decay: bool


def optimizer_groups(names: Iterable[str], width_scale: float) -> dict[Treatment, list[str]]:
    """A CrystalCoder's parameter names by treatment; `width_scale` is the configuration's `mup_width_scale`.

    Follows `get_mup_param_groups` of the published modelling code (LLM360/CrystalCoder) and Yang et al.,
    "Tensor Programs V" (2022), table 8: with Adam, matrices learn at a rate that shrinks with the width.
    """
    groups: dict[Treatment, list[str]] = {}
    for name in names:
        if NORM_OR_BIAS.search(name):
            treatment = Treatment(1.0, weight_decay=False)
        elif EMBEDDING.search(name):
            treatment = Treatment(1.0, weight_decay=True)
        else:
            treatment = Treatment(width_scale, weight_decay=True)
        groups.setdefault(treatment, []).append(name)
    return groups

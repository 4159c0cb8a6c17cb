"""What a licence allows, and what that makes of a dataset and of every model trained on it."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NON_COMMERCIAL = re.compile(r"(^|[-_ ])nc([-_ .]|$)|non-?commercial|research[- ]only", re.IGNORECASE)
UNKNOWN = ("", "unknown", "other")


def is_non_commercial(licence: str) -> bool:
    """Whether a licence's name says that commercial use is excluded."""
    return _NON_COMMERCIAL.search(licence) is not None


def is_unknown(licence: str) -> bool:
    """Whether nothing certain is known of what is allowed."""
    return licence.strip().lower() in UNKNOWN or licence.lower().startswith("other-")


def restriction(licences: Iterable[str]) -> str:
    """What holds for something made from all of them: `non-commercial`, `unclear` or `commercial`."""
    found = list(licences)
    if any(map(is_non_commercial, found)):
        return "non-commercial"
    return "unclear" if not found or any(map(is_unknown, found)) else "commercial"

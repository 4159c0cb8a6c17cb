"""The ratios of `difflib`, computed faster and once for each pair of texts."""

from __future__ import annotations

from collections import defaultdict
from difflib import Match, SequenceMatcher

import numpy as np

# From this length of the second text on, difflib leaves out characters that are frequent in it ("autojunk").
AUTOJUNK_LENGTH = 200
# What comparing two texts takes beside their characters, in steps of some tenth of a microsecond; and how many
# characters are searched for a text in a step.
PAIR_STEPS, CHARACTERS_PER_STEP = 64, 64
# What two pages may take, about a minute: ten times as much as 500 blocks and 500 others that are half alike.
MAX_STEPS = 400_000_000


class TooManyStepsError(ValueError):
    """Pages have so many texts that comparing them would take hours."""


class Budget:
    """The steps that pages may take; counted and not timed, so that a page fails on every machine or on none.

    Args:
        reason: what is said of pages that take more.
    """

    def __init__(self, reason: str) -> None:
        self.steps, self.reason = MAX_STEPS, reason

    def spend(self, steps: int) -> None:
        """Take some steps.

        Raises:
            TooManyStepsError: there were fewer left.
        """
        self.steps -= steps
        if self.steps < 0:
            raise TooManyStepsError(self.reason)


def matching_characters(first: str, second: str, budget: Budget) -> int:
    """The number of characters in difflib's matching blocks of two texts, the second of less than `AUTOJUNK_LENGTH`.

    A block is the longest common substring, the earliest in `first` and then in `second`, and the rest is what the
    same gives to the left and to the right of it. Whether a text is in another is asked in C, where difflib counts in
    Python.

    Raises:
        TooManyStepsError: that takes more than the budget has left.
    """
    total, todo = 0, [(first, second)]
    while todo:
        a, b = todo.pop()
        shorter, longer = (a, b) if len(a) < len(b) else (b, a)
        if shorter in longer:
            total += len(shorter)
            continue
        budget.spend(len(a) + len(a) * len(b) // CHARACTERS_PER_STEP)
        size = stop = 0
        for end in range(1, len(a) + 1):
            if a[end - size - 1 : end] in b:
                size += 1
                stop = end
        if size:
            total += size
            place = b.index(a[stop - size : stop])
            todo += [(a[: stop - size], b[:place]), (a[stop:], b[place + size :])]
    return total


class Ratios:
    """`SequenceMatcher(None, first, second).ratio()` of two texts, remembered.

    Raises:
        TooManyStepsError: there is more to compare than the budget allows.
    """

    def __init__(self) -> None:
        self.budget = Budget("too many blocks, or too long ones, to find out which stands for which")
        self._known: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._matchers: dict[str, _Matcher] = {}

    def __call__(self, first: str, second: str) -> float:
        known = self._known[second]
        if first not in known:
            known[first] = self._ratio(first, second)
        return known[first]

    def _ratio(self, first: str, second: str) -> float:
        length = len(first) + len(second)
        self.budget.spend(PAIR_STEPS + length)
        if len(second) < AUTOJUNK_LENGTH:
            return 2.0 * matching_characters(first, second, self.budget) / length if length else 1.0
        if second not in self._matchers:  # a matcher keeps what it finds out about its second text
            self._matchers[second] = _Matcher(second, self.budget)
        return self._matchers[second].ratio_of(first)


class _Matcher(SequenceMatcher):
    """What compares texts with a second one, and spends a step for each place and pair of places that it looks at."""

    def __init__(self, second: str, budget: Budget) -> None:
        super().__init__(None, "", second)
        self.budget = budget

    def ratio_of(self, first: str) -> float:
        """The ratio of a first text."""
        self.set_seq1(first)
        places = self.b2j  # type: ignore[attr-defined]  # difflib's own: where each character is that it counts
        self.looks = np.cumsum([0, *(1 + len(places.get(character, ())) for character in first)])
        return self.ratio()

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Match:
        self.budget.spend(int(self.looks[ahi] - self.looks[alo]))
        return super().find_longest_match(alo, ahi, blo, bhi)

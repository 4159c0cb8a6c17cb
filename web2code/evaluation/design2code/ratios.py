"""The ratios of `difflib`, computed faster and once for each pair of texts."""

from __future__ import annotations

from collections import defaultdict
from difflib import SequenceMatcher

# From this length of the second text on, difflib leaves out characters that are frequent in it ("autojunk").
AUTOJUNK_LENGTH = 200
# What comparing two texts takes beside their characters, in steps of some tenth of a microsecond.
PAIR_STEPS = 64
# What two pages may take, about a minute: ten times as much as 500 blocks and 500 others that are half alike.
MAX_STEPS = 400_000_000


class TooManyBlocksError(ValueError):
    """Two pages have so many texts that matching them would take hours."""


class Budget:
    """The steps that two pages may take; counted and not timed, so that a page fails on every machine or on none."""

    def __init__(self) -> None:
        self.steps = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Take some steps.

        Raises:
            TooManyBlocksError: there were fewer left.
        """
        self.steps -= steps
        if self.steps < 0:
            raise TooManyBlocksError("too many blocks, or too long ones, to find out which stands for which")


def matching_characters(first: str, second: str) -> int:
    """The number of characters in difflib's matching blocks of two texts, the second of less than `AUTOJUNK_LENGTH`.

    A block is the longest common substring, the earliest in `first` and then in `second`, and the rest is what the
    same gives to the left and to the right of it. Whether a text is in another is asked in C, where difflib counts in
    Python.
    """
    total, todo = 0, [(first, second)]
    while todo:
        a, b = todo.pop()
        shorter, longer = (a, b) if len(a) < len(b) else (b, a)
        if shorter in longer:
            total += len(shorter)
            continue
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
        TooManyBlocksError: there is more to compare than the budget allows.
    """

    def __init__(self) -> None:
        self.budget = Budget()
        self._known: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._matchers: dict[str, SequenceMatcher] = {}

    def __call__(self, first: str, second: str) -> float:
        known = self._known[second]
        if first not in known:
            known[first] = self._ratio(first, second)
        return known[first]

    def _ratio(self, first: str, second: str) -> float:
        length = len(first) + len(second)
        if len(second) < AUTOJUNK_LENGTH:
            self.budget.spend(PAIR_STEPS + length + len(first) * len(second) // 64)
            return 2.0 * matching_characters(first, second) / length if length else 1.0
        self.budget.spend(PAIR_STEPS + length)
        if second not in self._matchers:  # a matcher keeps what it finds out about its second text
            self._matchers[second] = SequenceMatcher(None, "", second)
        self._matchers[second].set_seq1(first)
        return self._matchers[second].ratio()

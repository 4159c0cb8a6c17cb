"""Where a document begins to say the same again and again, as models do that never stop."""

from __future__ import annotations

import re

import numpy as np

from web2code.evaluation.design2code.ratios import Budget, matching_characters

CHUNK = 100
SIMILAR = 0.8
TIMES = 5
_TAG = re.compile(r"<[^>\n]*>")
_CHARACTERS, _PAIRS = 128, 512


def cut_repetition(html: str) -> str:
    """The document up to where chunks of its text begin that occur at least `TIMES` times, or nearly so.

    As published, tags are left out of the text, a chunk counts for the first earlier one that is similar, and the
    place in the document is searched for greedily, so that the cut is rather too early than too late; and it is kept
    only where it is smaller than the length of the text.

    Raises:
        ValueError: the chunks are so much like each other that comparing them would take hours.
    """
    text = without_tags(html)
    chunks = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    kinds, cut = _Kinds(len(chunks)), len(text)
    positions: list[int] = []
    for number, chunk in enumerate(chunks):
        places = kinds.add(chunk, number)
        start = places[0] * CHUNK
        if len(places) == TIMES and start < cut:
            positions = positions or original_positions(html, text)
            cut = min(cut, positions[start])
    return html[:cut] if cut != len(text) else html


def without_tags(html: str) -> str:
    """The document without what stands between `<` and the next `>` of its line."""
    # What comes after the last `>` of a line has no tag, and would be searched again from each of its `<`.
    lines = ((line, line.rfind(">") + 1) for line in html.split("\n"))
    return "\n".join(_TAG.sub("", line[:end]) + line[end:] for line, end in lines)


def original_positions(html: str, text: str) -> list[int]:
    """Where in the document each character of the text is, if each is the first that it may be."""
    positions, position = [], -1
    for character in text:
        position = html.index(character, position + 1)
        positions.append(position)
    return positions


class _Kinds:
    """Chunks that are not similar to one another, each with the numbers of those that were similar to it."""

    def __init__(self, capacity: int) -> None:
        self.chunks: list[str] = []
        self.places: list[list[int]] = []
        self.budget = Budget("too many parts that are nearly alike to find out where the document begins to repeat")
        self.lengths = np.zeros(capacity, int)
        self.profiles = np.zeros((capacity, _CHARACTERS + _PAIRS), np.uint8)

    def add(self, chunk: str, number: int) -> list[int]:
        profile = _profile(chunk)
        for kind in self._possibly_similar(chunk, profile):
            matching = matching_characters(chunk, self.chunks[kind], self.budget)
            if 2.0 * matching / (len(chunk) + len(self.chunks[kind])) >= SIMILAR:
                self.places[kind].append(number)
                return self.places[kind]
        self.profiles[len(self.chunks)], self.lengths[len(self.chunks)] = profile, len(chunk)
        self.chunks.append(chunk)
        self.places.append([number])
        return self.places[-1]

    def _possibly_similar(self, chunk: str, profile: np.ndarray) -> np.ndarray:
        """Kinds that two upper bounds of the ratio leave, in order.

        No more characters can match than both have. And between two blocks of matching characters one at least does
        not match, so that of M matching ones in texts of length L together, at least M - (L - 2 M) - 1 are followed by
        the same character in both.
        """
        num = len(self.chunks)
        shared = np.minimum(self.profiles[:num], profile)
        lengths = self.lengths[:num] + len(chunk)
        characters = shared[:, :_CHARACTERS].sum(axis=1, dtype=np.uint32)
        pairs = shared[:, _CHARACTERS:].sum(axis=1, dtype=np.uint32)
        most = np.minimum(characters, (pairs + lengths + 1) / 3)
        return np.flatnonzero(2 * most >= SIMILAR * lengths - 1e-9)


def _profile(chunk: str) -> np.ndarray:
    codes = np.frombuffer(chunk.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
    characters = np.bincount(codes % _CHARACTERS, minlength=_CHARACTERS)
    pairs = np.bincount((31 * codes[:-1] + codes[1:]) % _PAIRS, minlength=_PAIRS)
    return np.concatenate([characters, pairs]).astype(np.uint8)

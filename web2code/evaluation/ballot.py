"""Which two renderings a person is to choose between next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from random import Random
from threading import Lock

from web2code.evaluation.results import Row, read_picture, read_rows, read_scores
from web2code.evaluation.votes import Choice, Vote, append_vote, read_votes


@dataclass(frozen=True)
class Picture:
    """A picture in a folder of results; one that did not render has no name."""

    folder: Path
    name: str | None

    def read(self) -> bytes:
        """The encoded picture; empty where there is none."""
        return read_picture(self.folder, self.name)


@dataclass(frozen=True)
class Pair:
    """Two systems' renderings of one screenshot."""

    sample: str
    systems: tuple[str, str]
    screenshot: Picture
    renderings: tuple[Picture, Picture]

    @property
    def key(self) -> tuple[str, frozenset[str]]:
        """The same whichever rendering stands on the left."""
        return self.sample, frozenset(self.systems)


class Ballot:
    """Every pair once, in an order that a seed decides, and the file that the votes go to; for several threads."""

    def __init__(self, pairs: Sequence[Pair], votes: Path) -> None:
        self.pairs, self.votes = pairs, votes
        self._voted = {(vote.sample, frozenset((vote.left, vote.right))) for vote in read_votes(votes)}
        self._lock = Lock()

    def next(self) -> int | None:
        """Number of the first pair without a vote; None where all have one."""
        with self._lock:
            return next((i for i, pair in enumerate(self.pairs) if pair.key not in self._voted), None)

    def cast(self, number: int, choice: Choice) -> None:
        """Record a vote on a pair; a second one, as a page sent twice gives, changes nothing."""
        pair = self.pairs[number]
        with self._lock:
            if pair.key not in self._voted:
                left, right = pair.systems
                time = datetime.now(UTC).isoformat(timespec="seconds")
                append_vote(self.votes, Vote(sample=pair.sample, left=left, right=right, choice=choice, time=time))
                self._voted.add(pair.key)


def make_pairs(folders: Sequence[Path], benchmark: str, seed: int = 0) -> list[Pair]:
    """All pairs of systems on all samples that at least one of them has rendered; sides and order follow the seed.

    Raises:
        ValueError: the models have the same name, or no sample of theirs has a rendering.
    """
    models = [read_scores(folder).model for folder in folders]
    if len(set(models)) < max(2, len(models)):
        raise ValueError(f"votes need two or more models with different names: these are {', '.join(models)}")
    systems = {
        model: (folder, {row.id: row for row in read_rows(folder, benchmark)})
        for model, folder in zip(models, folders, strict=True)
    }
    pairs = [
        pair
        for one, other in combinations(models, 2)
        for sample in systems[one][1]
        if sample in systems[other][1] and (pair := _pair(sample, (one, other), systems, seed))
    ]
    Random(seed).shuffle(pairs)
    if not pairs:
        raise ValueError(f"no two of these models have answered the same sample of {benchmark} with a rendering kept")
    return pairs


def _pair(
    sample: str, models: tuple[str, str], systems: dict[str, tuple[Path, dict[str, Row]]], seed: int
) -> Pair | None:
    left, right = models if Random(f"{seed}/{sample}/{models}").random() < 0.5 else models[::-1]
    folder, rows = systems[left]
    renderings = tuple(Picture(systems[model][0], systems[model][1][sample].rendering) for model in (left, right))
    if not rows[sample].pictures or not any(picture.name for picture in renderings):
        return None
    return Pair(sample, (left, right), Picture(folder, rows[sample].pictures[0]), (renderings[0], renderings[1]))

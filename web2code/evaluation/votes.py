"""Votes between two renderings of the same screenshot, and the ratings that explain them best."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pydantic
from scipy.optimize import minimize
from scipy.special import expit

from web2code.config import Config, Interval

Choice = Literal["left", "right", "tie"]
SHARE_OF_LEFT = {"left": 1.0, "right": 0.0, "tie": 0.5}
ELO_POINTS = 400 / np.log(10)
ELO_MEAN = 1000.0
# Of the normal prior, in logits: a system that never wins gets a rating, and votes by the dozen outweigh it.
PRIOR_DEVIATION = 5.0


class Vote(Config):
    """One person's choice between two systems on one sample."""

    sample: str
    left: str
    right: str
    choice: Choice
    time: str


class Rating(Config):
    """A system's Elo rating, and the votes it is based on."""

    system: str
    elo: Interval
    num_votes: int


class Ratings(Config):
    """Ratings, best first, and by pair of systems the share that the first won, a tie counting as half."""

    ratings: tuple[Rating, ...]
    num_votes: int
    wins: dict[str, dict[str, float]]


def append_vote(path: Path, vote: Vote) -> None:
    """Add a vote to a file of JSON lines; once this returns, it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        # What a kill left unfinished stays a line of its own.
        start = b"\n" if file.tell() and not _ends_a_line(path) else b""
        file.write(start + json.dumps(vote.model_dump()).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_votes(path: Path) -> list[Vote]:
    """All votes of a file; none where it is not there. A line that a kill cut off is passed over.

    Raises:
        ValueError: a whole line is no vote.
    """
    votes = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n") if path.exists() else [], 1):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        try:
            votes.append(Vote.model_validate(value))
        except pydantic.ValidationError:
            raise ValueError(f"{path}, line {number} is no vote: take it out") from None
    return votes


def rate(votes: Sequence[Vote], samples: int = 300, seed: int = 0) -> Ratings:
    """Ratings by the model of Bradley and Terry (1952), with 95 % intervals over `samples` resamplings of the votes.

    The chance of A before B is 1 / (1 + 10^((B - A) / 400)); ratings have mean 1000. Strengths are the most likely ones
    under a normal prior so wide that it matters only where a system always or never wins.
    """
    systems = sorted({system for vote in votes for system in (vote.left, vote.right)})
    if not systems:
        return Ratings(ratings=(), num_votes=0, wins={})
    cells = Counter((systems.index(vote.left), systems.index(vote.right), vote.choice) for vote in votes)
    counts = np.array(list(cells.values()))
    elo = _elo(_wins(list(cells), counts, len(systems)))
    drawn = np.random.default_rng(seed).multinomial(counts.sum(), counts / counts.sum(), size=samples)
    low, high = np.percentile([_elo(_wins(list(cells), again, len(systems))) for again in drawn], [2.5, 97.5], axis=0)
    voted = Counter(system for vote in votes for system in (vote.left, vote.right))
    rated = [
        Rating(system=system, elo=Interval(mean=elo[i], low=low[i], high=high[i]), num_votes=voted[system])
        for i, system in enumerate(systems)
    ]
    return Ratings(
        ratings=tuple(sorted(rated, key=lambda rating: -rating.elo.mean)),
        num_votes=len(votes),
        wins=_shares(systems, _wins(list(cells), counts, len(systems))),
    )


def strengths(wins: np.ndarray) -> np.ndarray:
    """Strengths in logits, of mean 0, that make `wins` most likely; `wins[a, b]` is how often a won against b."""

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        apart = values[:, None] - values[None, :]
        # A win of a against b is lost on -log(expit(a - b)), whose slope is -expit(b - a).
        slope = wins * expit(-apart)
        value = (wins * np.logaddexp(0, -apart)).sum() + (values**2).sum() / (2 * PRIOR_DEVIATION**2)
        return value, slope.sum(axis=0) - slope.sum(axis=1) + values / PRIOR_DEVIATION**2

    found = minimize(loss, np.zeros(len(wins)), jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-8})
    return found.x - found.x.mean()


def _elo(wins: np.ndarray) -> np.ndarray:
    return ELO_MEAN + ELO_POINTS * strengths(wins)


def _wins(cells: Sequence[tuple[int, int, Choice]], counts: np.ndarray, num: int) -> np.ndarray:
    wins = np.zeros((num, num))
    for (left, right, choice), count in zip(cells, counts, strict=True):
        wins[left, right] += SHARE_OF_LEFT[choice] * count
        wins[right, left] += (1 - SHARE_OF_LEFT[choice]) * count
    return wins


def _shares(systems: list[str], wins: np.ndarray) -> dict[str, dict[str, float]]:
    both = wins + wins.T
    return {
        one: {other: float(wins[i, j] / both[i, j]) for j, other in enumerate(systems) if i != j and both[i, j]}
        for i, one in enumerate(systems)
    }


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"

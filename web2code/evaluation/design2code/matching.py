"""Which text of a page stands for which text of its reference, and how alike they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from web2code.evaluation.design2code.blocks import Block
from web2code.evaluation.design2code.colours import colour_difference
from web2code.evaluation.design2code.ratios import Ratios

MIN_GAIN = 0.05
MIN_RATIO = 0.5
CONTEXT_BONUS = 0.1
SAME = -1.0
# Of the products of rows, columns and the fewer of the two that an assignment takes, so many are a step.
PRODUCTS_PER_STEP = 8192
SCORES = ("block", "text", "position", "colour")


@dataclass(frozen=True)
class Matched:
    """Scores 0 to 1 under the names of `SCORES`, and the candidate's blocks as they were joined for them."""

    scores: dict[str, float]
    candidate: tuple[Block, ...]


def match(candidate: Sequence[Block], reference: Sequence[Block]) -> Matched:
    """The published scores of the blocks of two pages; 0 where there are none, or no two that are alike.

    Raises:
        TooManyStepsError: that would take hours.
    """
    if not candidate or not reference:
        return Matched(dict.fromkeys(SCORES, 0.0), tuple(candidate))
    ratios = Ratios()
    ours, theirs = join_neighbours(list(candidate), list(reference), ratios)
    pairs = [
        (ours[i], theirs[j], ratios(ours[i].text, theirs[j].text))
        for i, j in zip(*_assignment(with_context(_costs(ours, theirs, ratios)), ratios), strict=True)
    ]
    pairs = [pair for pair in pairs if pair[2] >= MIN_RATIO]
    if not pairs:
        return Matched(dict.fromkeys(SCORES, 0.0), tuple(ours))
    boxes = [(a, b) for a, b, _ in pairs]
    area = sum(block.area for block in (*ours, *theirs))
    first, second = (np.array([pair[side].colour for pair in boxes], float) for side in (0, 1))
    scores = {
        "block": sum(a.area + b.area for a, b in boxes) / area,
        "text": sum(ratio for _, _, ratio in pairs) / len(pairs),
        "position": sum(1 - _distance(a, b) for a, b in boxes) / len(pairs),
        "colour": float(np.maximum(0, 1 - colour_difference(first, second) / 100).mean()),
    }
    return Matched({name: min(1.0, score) for name, score in scores.items()}, tuple(ours))


def join_neighbours(candidate: list[Block], reference: list[Block], ratios: Ratios) -> tuple[list[Block], list[Block]]:
    """The blocks of both pages, with neighbours of one page joined as long as that makes the assignment better.

    All joins of one page that gain enough are made at once, the best first, then those of the other page.
    """
    sides = [candidate, reference]
    changed = True
    while changed:
        changed = False
        for axis in (0, 1):
            gains = _gains(sides, axis, ratios)
            if gains:
                sides[axis] = _joined(sides[axis], gains)
                changed = True
    return sides[0], sides[1]


def _gains(sides: list[list[Block]], axis: int, ratios: Ratios) -> dict[int, float]:
    """By how much joining a block with the next one lowers the mean cost, for those that do enough."""
    costs = _costs(sides[0], sides[1], ratios)
    current = _assigned(costs, ratios)
    joins = _Joins([block.text for block in sides[axis]], [block.text for block in sides[1 - axis]])
    num_same = current.count(SAME)
    gains = {}
    for place in range(len(sides[axis]) - 1):
        # With fewer equal texts than are assigned now, no cost can be lower than all that it would be instead of.
        if joins.num_same(place) < num_same:
            continue
        trial = np.delete(costs, place + 1, axis)
        text = joins.text(place)
        if axis == 0:
            trial[place] = [-ratios(text, block.text) for block in sides[1]]
        else:
            trial[:, place] = [-ratios(block.text, text) for block in sides[0]]
        gain = mean_gain(current, _assigned(trial, ratios))
        if gain > MIN_GAIN:
            gains[place] = gain
    return gains


class _Joins:
    """The texts of a page with two neighbours joined, beside the texts of the other page."""

    def __init__(self, texts: list[str], others: list[str]) -> None:
        self.texts, self.counts, self.others = texts, Counter(texts), Counter(others)
        self.same = (self.counts & self.others).total()

    def text(self, place: int) -> str:
        return f"{self.texts[place]} {self.texts[place + 1]}"

    def num_same(self, place: int) -> int:
        """How many texts of the two pages are equal, each taken once, after the join."""
        changes = Counter({self.text(place): 1})
        changes.subtract(self.texts[place : place + 2])
        return self.same + sum(
            min(self.counts[text] + change, self.others[text]) - min(self.counts[text], self.others[text])
            for text, change in changes.items()
        )


def mean_gain(before: Sequence[float], after: Sequence[float]) -> float:
    """The fall of the mean of costs, without those that are in both; 0 unless the lowest one falls too."""
    old, new = Counter(before), Counter(after)
    gone, come = list((old - new).elements()), list((new - old).elements())
    gain = (sum(gone) / len(gone) if gone else 0.0) - (sum(come) / len(come) if come else 0.0)
    return 0.0 if gain > 0 and min(gone) <= min(come) else gain


def with_context(costs: np.ndarray) -> np.ndarray:
    """Costs below -0.5, lowered by a tenth of the two lowest of the eight around each."""
    rows, columns = costs.shape
    padded = np.pad(costs, 1)
    around = [
        padded[down : down + rows, right : right + columns]
        for down in range(3)
        for right in range(3)
        if (down, right) != (1, 1)
    ]
    lowest = np.partition(np.stack(around), 1, axis=0)[:2].sum(axis=0)
    return np.where(costs < -MIN_RATIO, costs + CONTEXT_BONUS * lowest, costs)


def _costs(candidate: Sequence[Block], reference: Sequence[Block], ratios: Ratios) -> np.ndarray:
    return np.array([[-ratios(a.text, b.text) for b in reference] for a in candidate])


def _assigned(costs: np.ndarray, ratios: Ratios) -> list[float]:
    return costs[_assignment(costs, ratios)].tolist()


def _assignment(costs: np.ndarray, ratios: Ratios) -> tuple[np.ndarray, np.ndarray]:
    ratios.budget.spend(costs.size * min(costs.shape) // PRODUCTS_PER_STEP)
    return linear_sum_assignment(costs)


def _joined(blocks: list[Block], gains: dict[int, float]) -> list[Block]:
    joined: dict[int, Block] = {}
    gone: set[int] = set()
    for place in sorted(gains, key=lambda place: -gains[place]):
        if not {place, place + 1} & (gone | joined.keys()):
            joined[place] = _join(blocks[place], blocks[place + 1])
            gone.add(place + 1)
    return [joined.get(place, block) for place, block in enumerate(blocks) if place not in gone]


def _join(first: Block, second: Block) -> Block:
    left, top = (min(first.box[side], second.box[side]) for side in (0, 1))
    right, bottom = (max(block.box[side] + block.box[side + 2] for block in (first, second)) for side in (0, 1))
    colour = tuple((a + b) // 2 for a, b in zip(first.colour, second.colour, strict=True))
    return Block(f"{first.text} {second.text}", (left, top, right - left, bottom - top), colour)


def _distance(first: Block, second: Block) -> float:
    return max(abs(a - b) for a, b in zip(first.centre, second.centre, strict=True))

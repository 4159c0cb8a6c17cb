"""What a model is trained on: token ids and their labels."""

from __future__ import annotations

from dataclasses import dataclass

IGNORED = -100


@dataclass(frozen=True)
class Sample:
    """Token ids of one training sample and, at each position, the label (`IGNORED` where nothing is learned)."""

    tokens: list[int]
    labels: list[int]

"""How much of what a stage computes is padding: samples of assumed lengths, laid out as training lays out real ones."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
from pydantic import Field

from web2code.config import Config, PartShare, PreparedLayout, PreparedPart, StageConfig
from web2code.estimate.workload import PARTS, samples_seen
from web2code.training.arrays import COLUMNS, Arrays, arrays_of
from web2code.training.batches import LENGTH_MULTIPLE
from web2code.training.loader import shares
from web2code.training.order import MEGA_BATCHES, Order

SEED = 0
# Steps that are laid out.
STEPS = 16 * MEGA_BATCHES
# Assumed: no text is shorter than this, with its template.
SHORTEST_TEXT = 32


class Layout(Config):
    """A stage's steps on a cluster, on average."""

    micro_steps: float = Field(description="forward and backward passes of a worker in a step")
    padding_share: float = Field(description="of the positions that are computed, those without a token")


def assumed_layout(
    stage: StageConfig, parts: tuple[PartShare, ...], image_tokens: int, longest: int, num_devices: int
) -> Layout:
    """The layout of a stage whose samples are as long as `PARTS` assumes, each with a picture.

    Raises:
        ValueError: a part whose size is not known.
    """
    whole = stage.model_copy(update={"held_out": 0})
    arrays = assumed_samples(samples_seen(parts), stage, image_tokens, longest)
    return layout_of(arrays, whole, num_devices, STEPS)


def layout_of(arrays: Arrays, stage: StageConfig, num_devices: int, num_steps: int) -> Layout:
    """The layout of a stage's first steps on samples of known lengths."""
    order = Order(arrays, stage, SEED)
    tokens = positions = micro_batches = 0
    for step in range(num_steps):
        batch = order.batch(step)
        tokens += int(arrays.lengths[batch].sum())
        for of_worker in shares(stage, arrays, batch, num_devices):
            micro_batches += len(of_worker)
            positions += sum(_positions(stage, arrays.lengths[indices]) for indices in of_worker)
    return Layout(micro_steps=micro_batches / num_devices / num_steps, padding_share=1 - tokens / positions)


def assumed_samples(seen: dict[str, float], stage: StageConfig, image_tokens: int, longest: int) -> Arrays:
    """Samples that have lengths and nothing else."""
    rng = np.random.default_rng(SEED)
    wanted = STEPS * stage.global_batch / sum(seen.values())
    texts = np.concatenate([_text_lengths(rng, name, round(wanted * number)) for name, number in seen.items()])
    lengths = np.clip(image_tokens + texts, min(image_tokens + SHORTEST_TEXT, longest), longest)
    columns: dict[str, np.ndarray] = {
        name: np.zeros(0 if per_token else len(texts), dtype) for name, (dtype, per_token) in COLUMNS.items()
    }
    layout = PreparedLayout(parts=(PreparedPart(stage=stage.name, part="assumed"),))
    return arrays_of(columns | {"lengths": lengths.astype(np.int32)}, np.zeros(0), layout)


def _positions(stage: StageConfig, lengths: np.ndarray) -> int:
    """What is computed for the samples of a micro batch: as many rows as the longest one needs, or a pack."""
    if stage.pack_tokens:
        return int(lengths.sum())
    return len(lengths) * -(-int(lengths.max()) // LENGTH_MULTIPLE) * LENGTH_MULTIPLE


def _text_lengths(rng: np.random.Generator, part: str, num: int) -> np.ndarray:
    mean, deviation = PARTS[part].text_tokens, PARTS[part].deviation
    spread = log(1 + (deviation / mean) ** 2)
    return np.rint(rng.lognormal(log(mean) - spread / 2, sqrt(spread), num))

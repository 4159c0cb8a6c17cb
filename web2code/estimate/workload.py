"""How many samples a stage sees, and how long they are."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from web2code.config import Config, PartShare, StageConfig


class PartSize(Config):
    """One part of the published data: samples, and tokens of a sample's text with its template."""

    samples: int
    text_tokens: int = Field(description="mean")
    deviation: int = Field(description="of the text's tokens, which are spread log-normally")


# Published: numbers of samples (arXiv 2406.20098, 2310.03744, 2412.16364), and the answers of DWCG and DWCG_R, 472 and
# 653 tokens with deviations of 162 and 157. Assumed: all other lengths and deviations, and that a sample of DWU has ten
# questions, of DWU_R eight and of LLaVAR-2 nine.
PARTS: Mapping[str, PartSize] = {
    "LCS-558K": PartSize(samples=558_128, text_tokens=30, deviation=15),
    "LLaVAR-2-captions": PartSize(samples=42_000, text_tokens=200, deviation=80),
    "mix665k": PartSize(samples=665_298, text_tokens=324, deviation=320),
    "DWCG": PartSize(samples=60_000, text_tokens=600, deviation=162),
    "DWCG_R": PartSize(samples=824_700, text_tokens=780, deviation=157),
    "DWU": PartSize(samples=24_350, text_tokens=500, deviation=150),
    "DWU_R": PartSize(samples=6_440, text_tokens=300, deviation=100),
    "LLaVAR-2": PartSize(samples=42_000, text_tokens=500, deviation=200),
    "ScienceQA": PartSize(samples=12_726, text_tokens=300, deviation=150),
}
# Assumed: no caption is longer than this.
LONGEST_CAPTION = 128


class Workload(Config):
    """What a stage goes through. Lengths are in tokens, the picture's included."""

    samples: int = Field(description="all epochs together")
    steps: int
    mean_length: int
    longest: int

    @property
    def tokens(self) -> int:
        """All tokens that pass through the language model."""
        return self.samples * self.mean_length


def stage_workload(stage: StageConfig, parts: tuple[PartShare, ...], image_tokens: int, max_length: int) -> Workload:
    """The samples of a stage's parts as often as the stage sees them.

    Raises:
        ValueError: a part whose size is not known, or pictures that leave no room for text.
    """
    seen = samples_seen(parts)
    text = sum(number * PARTS[name].text_tokens for name, number in seen.items()) / sum(seen.values())
    longest = longest_sample(stage, image_tokens, max_length)
    steps = stage.num_steps(int(sum(seen.values())) // stage.global_batch)
    return Workload(
        samples=steps * stage.global_batch,
        steps=steps,
        mean_length=min(round(image_tokens + text), longest),
        longest=longest,
    )


def samples_seen(parts: tuple[PartShare, ...]) -> dict[str, float]:
    """By part, the samples of an epoch; ValueError where the size of a part is not known."""
    if unknown := [share.part for share in parts if share.part not in PARTS]:
        raise ValueError(f"the size of part {unknown[0]!r} is not known: known are {', '.join(PARTS)}")
    return {share.part: min(PARTS[share.part].samples, share.cap or 10**12) * share.weight for share in parts}


def longest_sample(stage: StageConfig, image_tokens: int, max_length: int) -> int:
    """Tokens of the longest sample of a stage; ValueError where pictures leave no room for text."""
    if max_length <= image_tokens:
        raise ValueError(
            f"model.max_length: {max_length} tokens have no room for text beside {image_tokens} of a picture: raise it"
        )
    return min(max_length, image_tokens + LONGEST_CAPTION) if stage.template == "plain" else max_length

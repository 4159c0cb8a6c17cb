"""A planned run: its recipe, where it runs, and the jobs that follow from both."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from web2code.config import (
    BuildJob,
    DataConfig,
    EvaluateJob,
    LoraConfig,
    ModelConfig,
    PreparedRecord,
    PrepareJob,
    Recipe,
    SourceConfig,
    StageConfig,
    StageRecord,
    TrainJob,
    ValidationRecord,
    Where,
    digest_folder,
)
from web2code.recipes import resolve

HTML_SUFFIXES = (".html", ".htm", ".xhtml")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
NEEDED_BYTES = 2 * 1024**3
# Small shards, so that the cores of one machine are done at the same time.
PAGES_PER_SHARD = 64


@dataclass(frozen=True)
class Plan:
    """What a run will do; nothing has started yet."""

    recipe: Recipe
    where: Where

    @property
    def home(self) -> Path:
        """The folder of artifacts and runs."""
        return Path(self.where.home)

    @property
    def data_dir(self) -> Path:
        """The checked-out dataset."""
        return Path(self.where.data_dir)

    def build_job(self) -> BuildJob:
        """Make the dataset."""
        pages = self.recipe.pages
        source = SourceConfig(name=pages.source, digest=pages.folder_digest, pages=pages)
        return BuildJob(
            where=self.where,
            data=DataConfig(
                sources=(source,), viewport=pages.viewport, pages_per_shard=PAGES_PER_SHARD, seed=pages.seed
            ),
        )

    def prepare_job(self, version: str, verdict: ValidationRecord) -> PrepareJob:
        """Turn what the gate left of a dataset version into what training reads."""
        recipe = self.recipe
        assert isinstance(recipe.model, ModelConfig), recipe.name
        return PrepareJob(
            where=self.where,
            dataset_version=version,
            verdict=verdict.fingerprint,
            model=recipe.model,
            template=recipe.instruct.template,
            seed=recipe.seed,
        )

    def train_job(self, stage: StageConfig, prepared: PreparedRecord, previous: StageRecord | None = None) -> TrainJob:
        """Train a stage on top of the one before, if any."""
        return TrainJob(
            where=self.where,
            stage=stage,
            prepared=prepared.fingerprint,
            previous=previous.fingerprint if previous else "",
            num_workers=self.where.num_workers,
            lora=self.recipe.adapters(stage),
            seed=self.recipe.seed,
        )

    def model_dir(self, stage: StageRecord) -> Path:
        """Where a stage's checkpoint lies."""
        return self.home / "artifacts" / "stage" / stage.fingerprint / "model"

    def evaluate_job(
        self, version: str, prepared: PreparedRecord, candidate: StageRecord, champion: str
    ) -> EvaluateJob:
        """Judge a stage beside the baselines and, where it is another model that is still there, the champion."""
        there = (self.home / "artifacts" / "stage" / champion / "model").is_dir()
        return EvaluateJob(
            where=self.where,
            dataset_version=version,
            prepared=prepared.fingerprint,
            candidate=candidate.fingerprint,
            champion=champion if there and champion != candidate.fingerprint else "",
            evaluation=self.recipe.evaluation,
            viewport=self.recipe.pages.viewport,
            seed=self.recipe.seed,
        )


def home_folder() -> Path:
    """`$WEB2CODE_HOME`, or `.web2code` in the current folder."""
    return Path(os.environ.get("WEB2CODE_HOME") or ".web2code").resolve()


def require_four_bits(lora: LoraConfig | None) -> None:
    """Nothing, where what adapters need is installed.

    Raises:
        ValueError: they are trained beside weights in four bits, and bitsandbytes is not installed.
    """
    if lora and lora.four_bit and not find_spec("bitsandbytes"):
        raise ValueError(
            "model.lora.four_bit: weights in four bits need bitsandbytes, which is not installed: "
            "pip install 'web2code[qlora]', or set it to false"
        )


def make_plan(recipe: str, overrides: dict[str, Any], pages: str | None, screenshots: str | None) -> Plan:
    """Resolve and check everything that can be checked before anything starts.

    Raises:
        ValueError: an unknown recipe or override, a recipe that cannot be run, a folder that is not there or is empty,
            too little disk space.
    """
    overrides = dict(overrides)
    if pages:
        folder_digest = digest_folder(Path(pages), HTML_SUFFIXES)
        overrides |= {"pages.source": "folder", "pages.folder_digest": folder_digest}
    if screenshots:
        overrides["evaluation.screenshots_digest"] = digest_folder(Path(screenshots), PICTURE_SUFFIXES)
    resolved = resolve(recipe, overrides)
    require_four_bits(resolved.adapters(resolved.instruct))
    if not isinstance(resolved.model, ModelConfig):
        raise ValueError(
            f"recipe {recipe!r} starts from published checkpoints, which a run cannot train yet: "
            f"`web2code plan {recipe}` tells what it needs, and recipe 'tiny' runs"
        )
    home = home_folder()
    free = shutil.disk_usage(home if home.exists() else home.parent).free
    if free < NEEDED_BYTES:
        raise ValueError(
            f"{home} has {free / 1e9:.1f} GB of free disk space and a run needs {NEEDED_BYTES / 1e9:.1f} GB: "
            "free some, or set WEB2CODE_HOME to a larger disk"
        )
    return Plan(
        recipe=resolved,
        where=Where(
            home=str(home),
            data_dir=str(Path("data").resolve()),
            folders={"folder": str(Path(pages).resolve())} if pages else {},
            screenshots_folder=str(Path(screenshots).resolve()) if screenshots else "",
        ),
    )

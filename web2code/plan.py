"""A planned run: its recipe, where it runs, and the jobs that follow from both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from web2code.benchmark_folders import find_folders, needs_judge, require_sample
from web2code.config import (
    BenchmarkJob,
    BuildJob,
    DataConfig,
    EngineConfig,
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
    digest_tree,
)
from web2code.disk import require_disk
from web2code.estimate.processors import multiply_bfloat16
from web2code.mixtures import resolve_mixture
from web2code.recipes import resolve
from web2code.training.deepspeed_config import accumulation_steps

if TYPE_CHECKING:
    from web2code.data.sources import Source

HTML_SUFFIXES = (".html", ".htm", ".xhtml")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
# What drawn pages give. Their shards are small, so that the cores of one machine are done at the same time.
DRAWN_PARTS, DRAWN_SOURCES = ("DWCG", "captions", "WUB"), ("generated", "folder")
PAGES_PER_SHARD = 64
# What makes a recipe's language model another one than its own, or has a model that is published whole packed.
CHANGED_MODEL = {"model.language_model", "model.language_revision", "instruct.pack_tokens"}
# Values of `Where` that whoever starts a run may choose.
CHOOSABLE = (
    "cpus_per_worker", "gpu", "kept_checkpoints", "max_failures", "max_preemptions", "stall_seconds", "start_seconds",
)  # fmt: skip
# Where a benchmark's folder is looked for that was not given, as `web2code evaluate` does.
BENCHMARKS_FOLDER = Path("benchmark_files")


class BenchmarkFiles(NamedTuple):
    """A benchmark's folder, and the digest of the files in it."""

    folder: str
    digest: str


@dataclass(frozen=True)
class Plan:
    """What a run will do; nothing has started yet. `note` says what was chosen for this machine, if anything was."""

    recipe: Recipe
    where: Where
    sources: tuple[SourceConfig, ...]
    benchmarks: Mapping[str, BenchmarkFiles] = field(default_factory=dict)
    note: str = ""

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
        small = {"pages_per_shard": PAGES_PER_SHARD} if len(self.sources) == 1 else {}
        data = DataConfig(sources=self.sources, viewport=pages.viewport, seed=pages.seed, **small)
        return BuildJob(where=self.where, data=data)

    def prepare_job(self, version: str, verdict: ValidationRecord) -> PrepareJob:
        """Turn what the gate left of a dataset version into what training reads."""
        recipe = self.recipe
        return PrepareJob(
            where=self.where,
            dataset_version=version,
            verdict=verdict.fingerprint,
            model=recipe.model,
            mixture=resolve_mixture(recipe.mixture),
            templates={stage.name: stage.template for stage in recipe.stages},
            seed=recipe.seed,
        )

    def train_job(self, stage: StageConfig, prepared: PreparedRecord, previous: StageRecord | None = None) -> TrainJob:
        """Train a stage on top of the one before, if any."""
        return self._train_job(stage, prepared.fingerprint, previous.fingerprint if previous else "")

    def _train_job(self, stage: StageConfig, prepared: str, previous: str) -> TrainJob:
        return TrainJob(
            where=self.where,
            stage=stage,
            prepared=prepared,
            previous=previous,
            lora=self.recipe.adapters(stage),
            seed=self.recipe.seed,
        )

    def candidate(self, prepared: PreparedRecord) -> str:
        """The fingerprint that the last stage will have, before any is trained."""
        return self.stage_fingerprints(prepared.fingerprint)[-1]

    def stage_fingerprints(self, prepared: str) -> list[str]:
        """The fingerprints that the stages will have on a prepared artifact."""
        found: list[str] = []
        for stage in self.recipe.stages:
            found.append(self._train_job(stage, prepared, found[-1] if found else "").fingerprint())
        return found

    def model_dir(self, stage: StageRecord) -> Path:
        """Where a stage's checkpoint lies."""
        return self._checkpoint(stage.fingerprint)

    def _checkpoint(self, stage: str) -> Path:
        return self.home / "artifacts" / "stage" / stage / "model"

    def evaluate_job(
        self, version: str, prepared: PreparedRecord, candidate: StageRecord, champion: str
    ) -> EvaluateJob:
        """Judge a stage beside the baselines and, where it is another model that is still there, the champion."""
        there = self._checkpoint(champion).is_dir()
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

    def benchmark_jobs(self, judging: EvaluateJob) -> list[BenchmarkJob]:
        """Ask the run's benchmarks, if any, of the candidate that is judged, and then of the champion beside it."""
        models = [stage for stage in (judging.candidate, judging.champion) if stage]
        return [self._benchmark_job(stage) for stage in models if self.benchmarks]

    def _benchmark_job(self, stage: str) -> BenchmarkJob:
        """What `web2code evaluate` would ask of a stage: the same whether it is candidate or champion."""
        folders = {name: files.folder for name, files in self.benchmarks.items()}
        return BenchmarkJob(
            where=Where.model_validate(self.where.model_dump() | {"folders": folders}),
            name=f"{self.recipe.model_name}-{stage[:8]}",
            checkpoint=stage,
            engine=EngineConfig(kind=self.recipe.evaluation.engine, model=str(self._checkpoint(stage))),
            benchmarks={name: files.digest for name, files in self.benchmarks.items()},
        )


def home_folder() -> Path:
    """`$WEB2CODE_HOME`, or `.web2code` in the current folder.

    Raises:
        ValueError: it is an address and no folder.
    """
    home = os.environ.get("WEB2CODE_HOME") or ".web2code"
    if "://" in home:
        raise ValueError(f"WEB2CODE_HOME is {home}, and must be a folder: name one, on a disk that all machines share")
    return Path(home).resolve()


def full_precision(recipe: Recipe, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides that have a recipe trained in float32, where no other precision is chosen and it is the faster one."""
    if multiply_bfloat16():
        return {}
    scratch = ["model.precision"] if isinstance(recipe.model, ModelConfig) else []
    keys = [*scratch, *(f"{stage.name}.precision" for stage in recipe.stages)]
    return {key: "fp32" for key in keys if key not in overrides}


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


def make_plan(
    recipe: str,
    overrides: dict[str, Any],
    pages: str | None,
    screenshots: str | None,
    sources: dict[str, str] | None = None,
    workers: int = 2,
    gpus: int = 0,
    where: dict[str, Any] | None = None,
    benchmarks: dict[str, str] | None = None,
) -> Plan:
    """Resolve and check everything that can be checked before anything starts.

    `sources` are folders by source, of which the recipe's mixture is made; a run trains on `gpus` GPUs, or else in
    `workers` processes, and `where` replaces values of `Where` that are `CHOOSABLE`. `benchmarks` are folders by
    benchmark, on which the gate compares the candidate with the champion.

    Raises:
        ValueError: an unknown recipe, override or value of `where`, a language model that is not trained rightly, a
            batch that does not divide, a source that is missing, a benchmark that cannot be asked, a folder that is not
            there or is empty, too little disk space, GPUs that are known and too small.
    """
    overrides = dict(overrides)
    if pages:
        folder_digest = digest_folder(Path(pages), HTML_SUFFIXES)
        overrides |= {"pages.source": "folder", "pages.folder_digest": folder_digest}
    if screenshots:
        overrides["evaluation.screenshots_digest"] = digest_folder(Path(screenshots), PICTURE_SUFFIXES)
    resolved = resolve(recipe, overrides)
    changes = {} if gpus else full_precision(resolved, overrides)
    resolved = resolve(recipe, overrides | changes)
    require_four_bits(resolved.adapters(resolved.instruct))
    if not CHANGED_MODEL.isdisjoint(overrides):
        from web2code.modelling.language_models import require_trainable  # imports torch, as few do

        require_trainable(resolved)
    folders = {name: str(Path(folder).resolve()) if folder else "" for name, folder in (sources or {}).items()}
    chosen, asked = recipe_sources(resolved, folders), find_benchmarks(benchmarks or {})
    for stage in resolved.stages:
        accumulation_steps(stage, gpus or workers)
    home = home_folder()
    placed = Where(
        home=str(home),
        data_dir=str(Path("data").resolve()),
        num_workers=gpus or workers,
        gpus_per_worker=1 if gpus else 0,
        folders=folders | ({"folder": str(Path(pages).resolve())} if pages else {}),
        screenshots_folder=str(Path(screenshots).resolve()) if screenshots else "",
    )
    note = "these processors multiply no bfloat16, so that training is in float32" if changes else ""
    planned = Plan(recipe=resolved, where=choose(placed, where or {}), sources=chosen, benchmarks=asked, note=note)
    if gpus:
        require_gpus(resolved, gpus, planned.where.gpu)
    require_disk(planned)
    return planned


def find_benchmarks(given: dict[str, str]) -> dict[str, BenchmarkFiles]:
    """The files of each benchmark that is given by its folder, or by an empty text for `BENCHMARKS_FOLDER`/NAME.

    Raises:
        ValueError: a benchmark is not known, or a model judges it, or its folder does not hold its files.
    """
    folders = find_folders(given, BENCHMARKS_FOLDER) if given else {}
    if judged := needs_judge(folders):
        raise ValueError(f"{judged}, and a run has none: leave it out, and ask it with `web2code evaluate`")
    for name, folder in folders.items():
        require_sample(name, folder)
    return {name: BenchmarkFiles(str(folder.resolve()), digest_tree(folder)) for name, folder in folders.items()}


def require_gpus(recipe: Recipe, num_devices: int, name: str) -> None:
    """Nothing, where a recipe runs on so many GPUs, or where it is not known what they are.

    Raises:
        ValueError: it does not fit, or is in a precision that they lack; or there is no GPU called `name`.
    """
    from web2code.estimate.devices import find_gpu

    if gpu := find_gpu(name):
        from web2code.estimate.fit import require_fit  # imports torch, which a run on CPUs does without

        require_fit(recipe, num_devices, gpu)


def choose(where: Where, values: dict[str, Any]) -> Where:
    """The same with some of its values replaced.

    Raises:
        ValueError: one that cannot be chosen, or that does not fit.
    """
    for name in values:
        if name not in CHOOSABLE:
            raise ValueError(f"where {name!r}: choose one of {', '.join(CHOOSABLE)}")
    try:
        return Where.model_validate(where.model_dump() | values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"where {first['loc'][0]}: {first['msg']} (got {first['input']!r})") from None


def recipe_sources(recipe: Recipe, folders: dict[str, str]) -> tuple[SourceConfig, ...]:
    """What a recipe's dataset is built from: its pages alone where its mixture has nothing else.

    Otherwise the sources in `folders`, and of the recipe's pages those that are held out, on which all models are
    judged.

    Raises:
        ValueError: an unknown source or one without its folder, or a part that no source gives.
    """
    mixture, pages = resolve_mixture(recipe.mixture), recipe.pages
    shares = [share for stage in recipe.stages for share in getattr(mixture, stage.name)]
    drawn = SourceConfig(name=pages.source, digest=pages.folder_digest, pages=pages)
    wanted = dict.fromkeys(share.part for share in shares if share.weight > 0)
    if not folders and set(wanted) <= set(DRAWN_PARTS):
        return (drawn,)
    from web2code.data.sources import SOURCES  # its readers take a second, which a run of pages does without

    given = {name: source_folder(name, folder, SOURCES) for name, folder in folders.items()}
    parts = {name: tuple(part for part in SOURCES[name].parts if part in wanted) for name in given}
    for part in wanted:
        if not any(part in of_source for of_source in parts.values()):
            raise ValueError(
                f"mixture {mixture.name!r} needs {part}, which no source given here has: {_having(part, SOURCES)}"
            )
    held_out = drawn.model_copy(update={"pages": pages.model_copy(update={"num_train": 0})})
    return (
        *(SourceConfig(name=name, digest=digest_tree(Path(given[name])) if given[name] else "", parts=parts[name],
                       eval_share=recipe.eval_share) for name in given if parts[name]),
        held_out,
    )  # fmt: skip


def _having(part: str, known: Mapping[str, Source]) -> str:
    """What to do to have a part."""
    having = [name for name, source in known.items() if part in source.parts and name not in DRAWN_SOURCES]
    if having:
        return f"add --source {having[0]}=FOLDER" + "".join(f" or {name}" for name in having[1:])
    return "only the recipe's own pages have it, which a run without --source trains on"


def source_folder(name: str, folder: str, known: Mapping[str, Source]) -> str:
    """The folder of a source, where it reads one.

    Raises:
        ValueError: there is no such source, or only recipes draw it, or there is no such folder.
    """
    offered = [one for one in known if one not in DRAWN_SOURCES]
    if name not in offered:
        raise ValueError(f"unknown source {name!r}: choose one of {', '.join(offered)}")
    if known[name].reads_folder and not folder:
        raise ValueError(f"source {name!r} is read from a folder: write --source {name}=FOLDER")
    if folder and not Path(folder).is_dir():
        raise ValueError(f"{folder} is no folder: download the data of {name!r} into one and name it")
    return folder

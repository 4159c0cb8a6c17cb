"""The typed configuration and results that cross a process boundary: recipes, jobs, records.

Nothing heavy is imported here, so that a scheduler can validate a run without a GPU stack.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, FiniteFloat, Tag, model_validator

PACKAGE = Path(__file__).parent
# How long a job waits until all of its processes have a place.
START_SECONDS = 1800.0


class Config(BaseModel):
    """A frozen value; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- recipe: what is trained, on what, and how it is judged -----------------------------------------------------------


class Viewport(Config):
    """The window a page is rendered in, in CSS pixels; a page may be taller and is captured in full."""

    width: int = Field(512, ge=64, le=4096)
    height: int = Field(512, ge=64, le=8192)


class PagesConfig(Config):
    """Where the screenshot-HTML pairs come from. `folder_digest` identifies the content of a user's folder."""

    source: Literal["generated", "folder"] = "generated"
    folder_digest: str = ""
    num_train: int = Field(3600, ge=0)
    num_eval: int = Field(128, ge=1)
    seed: int = 0
    viewport: Viewport = Viewport()
    max_html_chars: int = Field(900, ge=100, description="pages of a folder are cut into sections of at most this many")
    questions_per_page: int = Field(5, ge=0)


class VisionConfig(Config):
    """A CLIP vision tower."""

    image_size: int = 128
    patch_size: int = 16
    hidden_size: int = 128
    intermediate_size: int = 512
    num_layers: int = 3
    num_heads: int = 4


class LanguageConfig(Config):
    """A Llama language model with tied embeddings."""

    vocab_size: int = 1024
    hidden_size: int = 192
    intermediate_size: int = 512
    num_layers: int = 3
    num_heads: int = 3
    max_length: int = Field(512, description="tokens in a sequence, image tokens included")


class ModelConfig(Config):
    """The base checkpoint: made from scratch, its language model warmed up on the text of the training pages."""

    kind: Literal["scratch"] = "scratch"
    vision: VisionConfig = VisionConfig()
    language: LanguageConfig = LanguageConfig()
    projector: Literal["mlp2x_gelu"] = "mlp2x_gelu"
    vision_feature_layer: int = -1
    warmup_steps: int = Field(0, ge=0)
    precision: Literal["bf16", "fp32"] = Field("bf16", description="of warming up")

    @property
    def max_length(self) -> int:
        """Tokens in a sequence, image tokens included."""
        return self.language.max_length


class LoraConfig(Config):
    """Low-rank adapters (arXiv 2106.09685), trained in place of the language model's own weights."""

    rank: int = Field(128, ge=1)
    alpha: int = Field(256, ge=1, description="adapters are scaled by alpha / rank")
    dropout: float = Field(0.05, ge=0, lt=1)
    targets: tuple[str, ...] = Field((), description="names of linear layers, e.g. q_proj; none means all")
    four_bit: bool = Field(False, description="QLoRA: the language model's linear layers are in 4-bit NF4")


class PretrainedModelConfig(Config):
    """The base checkpoint: a published language model and vision tower, joined by a projector that is new.

    The backbones are names in `web2code.modelling.backbones`, or else the hub's names or folders.
    """

    kind: Literal["pretrained"] = "pretrained"
    language_model: str
    language_revision: str = Field("", description="commit or branch on the hub; empty means the backbone's own")
    vision_tower: str
    vision_revision: str = ""
    projector: Literal["linear", "mlp2x_gelu"] = "mlp2x_gelu"
    vision_feature_layer: int = -2
    vision_feature_select: Literal["default", "full"] = Field("default", description="default leaves out CLS")
    max_length: int = Field(2048, ge=64, description="tokens in a sequence, image tokens included")
    lora: LoraConfig | None = Field(None, description="in the stages that train the language model")


class ImageTextConfig(Config):
    """The base checkpoint: a published image-text-to-text model, whose tower, projector and processor are its own.

    Its name is one in `web2code.modelling.backbones`, or else the hub's or a folder's. It is trained by stage 2 alone.
    """

    kind: Literal["image_text"] = "image_text"
    name: str
    revision: str = Field("", description="commit or branch on the hub; empty means the backbone's own")
    min_pixels: int | None = Field(None, ge=1, description="of a picture; none means the processor's own bound")
    max_pixels: int | None = Field(None, ge=1)
    max_length: int = Field(4096, ge=64, description="tokens in a sequence, image tokens included")
    lora: LoraConfig | None = Field(None, description="in the stage, where it trains the language model")


def _kind(model: Any) -> str | None:
    """Which kind a model is of; records from before there were several do not say."""
    return model.get("kind", "scratch") if isinstance(model, dict) else getattr(model, "kind", None)


AnyModelConfig = Annotated[
    Annotated[ModelConfig, Tag("scratch")]
    | Annotated[PretrainedModelConfig, Tag("pretrained")]
    | Annotated[ImageTextConfig, Tag("image_text")],
    Discriminator(
        _kind,
        custom_error_type="model_kind",
        custom_error_message="a model is a mapping whose kind is scratch, pretrained or image_text",
    ),
]

# `vision_merge` is what joins the two views of a dual tower, `vision_tower` the rest of it.
Module = Literal["projector", "language_model", "vision_merge", "vision_tower"]
TemplateName = Literal[
    "plain", "user_assistant", "vicuna_v1", "v1", "llava_v1", "llava_v0", "llama_2", "llava_llama_2",
    "mistral_instruct", "mpt", "chatml_direct", "llama3", "phi3_instruct", "crystal_chat",
]  # fmt: skip
# `own` is what a published model comes with: of an image-text-to-text model its chat template, of a language model the
# template in `web2code.modelling.backbones`, or else the chat template of its tokenizer.
StageTemplate = TemplateName | Literal["own"]


StageName = Literal["align", "instruct"]
# Pictures at training size, as they are or as JPEG; `original` is a file of the dataset as it is.
PictureFormat = Literal["raw", "jpeg", "original"]


class GuardConfig(Config):
    """What follows a step that goes wrong; it depends on the steps before it alone, so a resumed run decides alike."""

    max_skipped: int = Field(3, ge=0, description="updates in a row that may be left out; one more ends the stage")
    spike: Literal["warn", "skip", "stop"] = Field("warn", description="what follows a loss far above those before it")
    spike_deviations: float = Field(12.0, gt=0, description="how far, in robust standard deviations above the median")


class StageConfig(Config):
    """One stage of training under DeepSpeed, as long as either `steps` or `epochs` says."""

    name: StageName
    trainable: tuple[Module, ...]
    zero_stage: Literal[0, 1, 2, 3]
    template: StageTemplate
    steps: int | None = Field(None, ge=1)
    epochs: float | None = Field(None, gt=0, description="how often a sample is seen")
    global_batch: int = Field(ge=1)
    micro_batch: int = Field(32, ge=1, description="rows that a worker holds at once, where samples are not packed")
    learning_rate: float = Field(gt=0)
    module_learning_rates: dict[Module, float] = Field({}, description="where a module's differs from learning_rate")
    warmup_ratio: float = Field(0.03, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0, description="of matrices; norms and biases do not decay")
    beta2: float = Field(0.999, ge=0, lt=1, description="AdamW's memory of squared gradients")
    checkpoint_every: int = Field(200, ge=1, description="steps, but see checkpoint_minutes")
    checkpoint_minutes: float = Field(10.0, gt=0, description="a checkpoint is saved when the last is so old, too")
    precision: Literal["bf16", "fp32"] = "bf16"
    attention: Literal["sdpa", "eager", "varlen"] = "sdpa"
    pack_tokens: int = Field(0, ge=0, description="tokens of a sequence of several samples; 0 pads each to a row")
    gradient_checkpointing: bool = Field(False, description="layers are computed again in the backward pass")
    offload: bool = Field(False, description="the optimizer's states lie and change in the machine's own memory")
    grouping: Literal["length", "modality_length", "none"] = Field(
        "length",
        description="length: samples of similar length meet in a batch; modality_length: as in LLaVA, of one modality",
    )
    held_out: int = Field(0, ge=0, description="samples left out, whose loss is measured every checkpoint_every steps")
    keep: Literal["last", "best"] = Field("last", description="best is the checkpoint with the lowest held-out loss")
    guard: GuardConfig = GuardConfig()

    @model_validator(mode="after")
    def _one_length(self) -> StageConfig:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("a stage has either steps or epochs: set one of them, and the other to null")
        return self

    @model_validator(mode="after")
    def _whole_batches_held_out(self) -> StageConfig:
        if self.held_out % self.global_batch:
            raise ValueError(f"{self.name}: set held_out to a multiple of global_batch ({self.global_batch})")
        if self.keep == "best" and not self.held_out:
            raise ValueError(f"{self.name}: the best checkpoint is known by its held-out loss: set held_out")
        return self

    @model_validator(mode="after")
    def _can_offload(self) -> StageConfig:
        if self.offload and self.zero_stage < 2:
            raise ValueError(f"{self.name}: offload needs a zero_stage of 2 or 3")
        return self

    @model_validator(mode="after")
    def _can_skip(self) -> StageConfig:
        if self.guard.spike == "skip" and self.zero_stage == 0 and self.precision == "fp32":
            raise ValueError(f"{self.name}: guard.spike=skip needs a zero_stage of 1 or more, or precision=bf16")
        return self

    def num_steps(self, steps_per_epoch: int) -> int:
        """Steps from beginning to end, at least one."""
        if self.epochs is not None:
            return max(1, round(self.epochs * steps_per_epoch))
        assert self.steps is not None, self
        return self.steps


class EvaluationConfig(Config):
    """How a model is judged. `screenshots_digest` identifies a folder of real screenshots without reference HTML."""

    max_new_tokens: int = Field(320, ge=1)
    bootstrap_samples: int = Field(1000, ge=100)
    constant_candidates: int = Field(32, ge=1, description="training pages tried as the best constant answer")
    engine: Literal["transformers", "vllm"] = Field("transformers", description="what answers; vllm on GPUs is faster")
    screenshots_digest: str = ""


CheckName = Literal[
    "id_unique", "licence_present", "roles_alternate", "no_empty_message", "html_has_body", "picture_in_bounds",
    "answers_trained", "fits_context", "no_marker_in_answer", "no_personal_data", "no_near_duplicate",
    "not_contaminated",
]  # fmt: skip
Contamination = Literal["either", "both"]


class ValidationConfig(Config):
    """What a dataset must satisfy before anything is trained on it, and how much of it may be left out for that."""

    context: int = Field(2048, ge=64, description="tokens of a training sequence")
    image_tokens: int = Field(576, ge=0, description="of which a picture takes")
    warn: tuple[CheckName, ...] = Field(
        ("fits_context", "no_marker_in_answer", "no_personal_data", "no_near_duplicate"),
        description="checks whose rows are counted; rows that fail any other check are quarantined",
    )
    max_quarantined: float = Field(0.02, ge=0, le=1, description="share of rows above which the data is bad")
    contamination: Contamination = Field(
        "either",
        description="a training row is refused where picture or text, or where both, are alike to a held-out row",
    )
    min_text_tokens: int = Field(32, ge=1, description="shorter answers are alike by chance and tell nothing")


class GateConfig(Config):
    """What a candidate needs to become champion."""

    margin: float = Field(0.5, ge=0, description="points (0 to 10) that no group's score may be behind the champion's")
    understanding_margin: float = Field(0.05, ge=0, description="the same for the share of questions answered right")
    max_render_failed: float = Field(0.1, ge=0, le=1, description="largest share of pages that do not render")
    benchmark_margin: float = Field(
        0.05, ge=0, description="share of its scale that no benchmark's main figure may be behind the champion's"
    )


class Recipe(Config):
    """Everything that decides what a training run produces."""

    name: str
    model_name: str
    seed: int = 0
    pages: PagesConfig = PagesConfig()
    mixture: str = Field("pages", description="what is trained on: a key of web2code.mixtures.MIXTURES")
    eval_share: float = Field(0.0, ge=0, lt=1, description="share of the mixture's pages that are held out as well")
    model: AnyModelConfig
    align: StageConfig | None = Field(None, description="none for a model whose projector is trained already")
    instruct: StageConfig
    evaluation: EvaluationConfig = EvaluationConfig()
    validation: ValidationConfig = ValidationConfig()
    gate: GateConfig = GateConfig()

    @property
    def stages(self) -> tuple[StageConfig, ...]:
        """Its stages, in order."""
        return tuple(stage for stage in (self.align, self.instruct) if stage)

    @model_validator(mode="after")
    def _stages_of_its_kind(self) -> Recipe:
        image_text = isinstance(self.model, ImageTextConfig)
        if image_text and self.align:
            raise ValueError("align: the projector of an image-text-to-text model is trained already: leave it out")
        if not image_text and not self.align:
            raise ValueError("align: a new projector is trained in a stage of its own: give one")
        for stage in self.stages:
            if 0 < stage.pack_tokens < self.model.max_length:
                raise ValueError(
                    f"{stage.name}.pack_tokens: a pack of {stage.pack_tokens} tokens does not hold a sample of "
                    f"model.max_length ({self.model.max_length}): raise it, or set it to 0 for padded rows"
                )
        if isinstance(self.model, ModelConfig) and "own" in {stage.template for stage in self.stages}:
            raise ValueError("template: a model that is made from scratch has none of its own: name one of ours")
        return self

    @model_validator(mode="after")
    def _four_bits_are_whole(self) -> Recipe:
        for stage in self.stages:
            lora = self.adapters(stage)
            if lora and lora.four_bit and stage.zero_stage == 3:
                raise ValueError(
                    f"{stage.name}.zero_stage: ZeRO-3 cannot split weights in four bits: set it to 2, "
                    "or model.lora.four_bit to false"
                )
        return self

    def adapters(self, stage: StageConfig) -> LoraConfig | None:
        """What a stage trains in place of the language model's own weights, where it does."""
        lora = None if isinstance(self.model, ModelConfig) else self.model.lora
        return lora if "language_model" in stage.trainable else None


# --- data: what a dataset is built from -------------------------------------------------------------------------------


class SourceConfig(Config):
    """One source of samples. `digest` identifies the content of the folder that it is read from."""

    name: str = Field(description="a key of web2code.data.sources.SOURCES")
    digest: str = ""
    parts: tuple[str, ...] = Field((), description="only these of the source's parts; none means all")
    max_samples: int = Field(0, ge=0, description="records or pages taken from the source; 0 means all")
    eval_share: float = Field(0.0, ge=0, le=1, description="share of pages that are held out")
    pages: PagesConfig | None = Field(None, description="for the sources that draw pages")


class WriterConfig(Config):
    """Who writes new data: a chat model, or without a model's name the procedures that need none."""

    model: str = ""
    temperature: float = Field(0.8, ge=0)
    max_tokens: int = Field(4096, ge=1)
    licence: str = Field("generated", description="licence of what the model writes")


class DataConfig(Config):
    """What a dataset holds."""

    sources: tuple[SourceConfig, ...]
    writer: WriterConfig = WriterConfig()
    viewport: Viewport = Viewport(width=1280, height=720)
    tokenizer: str = Field("", description="name or path of the tokenizer that counts; empty counts words and signs")
    scrub: bool = Field(False, description="replace e-mail addresses and telephone numbers, and render pages again")
    pages_per_shard: int = Field(1024, ge=4)
    seed: int = 0


class PartShare(Config):
    """How much of one part a mixture takes."""

    part: str
    weight: float = Field(1.0, ge=0, description="how often a sample is seen in an epoch, on average")
    cap: int | None = Field(None, ge=0, description="at most so many samples")
    turns: Literal["together", "apart"] = Field("together", description="apart: each question is a sample of its own")


class Mixture(Config):
    """Which parts each stage is trained on."""

    name: str
    align: tuple[PartShare, ...]
    instruct: tuple[PartShare, ...]


class Endpoint(Config):
    """Where a model answers, how much is asked of it, and what it costs. None of it changes a result."""

    url: str = ""
    key_variable: str = Field("", description="environment variable that holds the key; empty means that none is sent")
    concurrency: int = Field(8, ge=1)
    requests_per_minute: float = Field(0.0, ge=0, description="0 means no limit")
    retries: int = Field(4, ge=0)
    timeout_seconds: float = Field(120.0, gt=0)
    input_price: float = Field(0.0, ge=0, description="of a million tokens")
    output_price: float = Field(0.0, ge=0, description="of a million tokens")
    max_cost: float = Field(0.0, ge=0, description="asking stops here; 0 means no limit")

    @model_validator(mode="after")
    def _limit_has_prices(self) -> Endpoint:
        if self.max_cost and not (self.input_price or self.output_price):
            raise ValueError("max_cost needs input_price or output_price: without a price nothing costs anything")
        return self


# --- jobs: a recipe's part (identity) and where it runs (execution) ---------------------------------------------------


class Where(Config):
    """Execution only: none of this may change a result."""

    home: str = Field(description="the folder that holds artifacts and runs")
    data_dir: str = Field(description="the checked-out dataset, data/ in the repository")
    num_workers: int = Field(2, ge=1, description="training workers")
    cpus_per_worker: float = Field(1.0, gt=0)
    gpus_per_worker: float = Field(0.0, ge=0)
    out: str = Field("", description="folder that a result is written to; empty means among the artifacts")
    folders: dict[str, str] = Field({}, description="by source or benchmark, the folder that it is read from")
    endpoint: Endpoint = Endpoint()
    judge: Endpoint = Endpoint()
    stall_seconds: float = Field(
        600.0,
        ge=0,
        description="a training worker without progress in a step for longer, and for 20 usual steps, or for six times "
        "as long outside of steps, is ended; 0: never",
    )
    start_seconds: float = Field(
        START_SECONDS,
        ge=0,
        description="how long room is waited for, before training and after a machine is lost: on machines that others "
        "use, and on those that may still join the cluster",
    )
    max_failures: int = Field(2, ge=0, description="of training in a row, without a new checkpoint between them")
    max_preemptions: int = Field(10, ge=0, description="likewise; a machine that is taken away is no failure")
    kept_checkpoints: int = Field(2, ge=1, description="the newest whole ones of a stage; the best is kept besides")
    gpu: str = Field(
        "",
        description="kind of the GPUs, as `web2code plan` names them; empty is this machine's, as far as there is "
        "one, and `unchecked` starts a recipe whatever is estimated",
    )
    dry_run: bool = Field(False, description="count what would be asked and made, and make nothing")
    screenshots_folder: str = ""


class Job(Config):
    """A unit of work for the cluster. Its fingerprint names its output and its submission."""

    kind: ClassVar[str]
    code: ClassVar[tuple[str, ...]]
    where: Where

    def identity(self) -> dict[str, Any]:
        """What decides the result: every field but `where`, and the code that computes it."""
        return {"kind": self.kind, "code": code_digest(self.code), **self.model_dump(mode="json", exclude={"where"})}

    def fingerprint(self) -> str:
        """Sixteen hex digits that change exactly when the identity does."""
        return digest(self.identity())[:16]

    def output(self) -> str:
        """The committed folder that the job leaves behind."""
        return f"{self.where.home}/artifacts/{self.kind}/{self.fingerprint()}"


ScoreName = Literal["ifd", "vfd", "mifd", "ffd"]


class SelectionConfig(Config):
    """How samples are scored, and which are kept.

    `window` bounds what is kept: percentiles of the scores (0 to 100) or, with `by` ratio, the scores themselves.
    """

    scores: tuple[ScoreName, ...] = ("ifd",)
    model: str = Field(description="name or path of a causal language model, or of an image-text-to-text model")
    revision: str = Field("", description="commit of a public name on the hub; empty means the newest")
    keep: ScoreName = Field("ifd", description="the score that decides")
    by: Literal["percentile", "ratio"] = "percentile"
    window: tuple[FiniteFloat, FiniteFloat] = (0.0, 100.0)
    parts: tuple[str, ...] = Field((), description="only these parts; none means all")
    max_tokens: int = Field(2048, ge=8, description="longer texts are not scored, and not kept")
    batch_size: int = Field(8, ge=1)

    @model_validator(mode="after")
    def _window_is_one(self) -> SelectionConfig:
        low, high = self.window
        if low > high or (self.by == "percentile" and (low < 0 or high > 100)):
            raise ValueError(f"window {low:g}-{high:g}: the lower end comes first, and percentiles are 0 to 100")
        return self


class SelectionJob(Config):
    """Score the samples of a dataset."""

    home: str
    folder: str
    selection: SelectionConfig
    checkpoint: str = Field(description="what identifies the model's weights: a digest, or a name with its commit")
    num_workers: int = Field(0, ge=0, description="scorers at once; 0 means one for each core, or GPU")
    gpus_per_worker: float = Field(0.0, ge=0)

    def fingerprint(self, dataset: str) -> str:
        """Names the scores of one dataset by one model; the window is no part of it."""
        scoring = self.selection.model_dump(include={"scores", "parts", "max_tokens"})
        return digest([dataset, self.checkpoint, scoring, code_digest(("selection",))])[:16]


class BuildJob(Job):
    """Build a dataset of samples."""

    kind: ClassVar[str] = "dataset"
    code: ClassVar[tuple[str, ...]] = ("data", "pages", "rendering")
    data: DataConfig

    def output(self) -> str:
        """Where the dataset is built: the folder that was asked for, or among the artifacts."""
        return self.where.out or super().output()

    def source_fingerprint(self, source: SourceConfig) -> str:
        """The fingerprint of one source alone: what it gives does not depend on the others."""
        return self.model_copy(update={"data": self.data.model_copy(update={"sources": (source,)})}).fingerprint()


class PrepareJob(Job):
    """Make the base checkpoint, and turn the dataset into arrays of tokens and pictures."""

    kind: ClassVar[str] = "prepared"
    code: ClassVar[tuple[str, ...]] = ("modelling", "training", "mixtures")
    dataset_version: str
    verdict: str = Field("", description="fingerprint of the gate's verdict, whose quarantine is left out")
    model: AnyModelConfig
    mixture: Mixture
    templates: dict[StageName, StageTemplate]
    seed: int


class TrainJob(Job):
    """Train one stage, from the prepared base checkpoint or from the stage before.

    The number of workers is no part of the identity: it changes the order of summation, and so the last digits, but a
    stage that one number began another can go on with. `StageRecord.num_workers` says which it was trained with; the
    same number throughout gives the same bits.
    """

    kind: ClassVar[str] = "stage"
    code: ClassVar[tuple[str, ...]] = ("modelling", "training")
    stage: StageConfig
    prepared: str = Field(description="fingerprint of the prepared artifact")
    previous: str = Field("", description="fingerprint of the stage whose weights this one starts from")
    lora: LoraConfig | None = Field(None, description="adapters that are trained in place of the language model")
    seed: int


class EvaluateJob(Job):
    """Judge a stage's model and the baselines on the held-out pages."""

    kind: ClassVar[str] = "evaluation"
    code: ClassVar[tuple[str, ...]] = ("rendering", "evaluation", "modelling")
    dataset_version: str
    prepared: str
    candidate: str = Field(description="fingerprint of the stage that is judged")
    champion: str = Field("", description="fingerprint of the champion's stage, judged on the same pages")
    evaluation: EvaluationConfig
    viewport: Viewport
    seed: int


EngineKind = Literal["vllm", "transformers", "openai"]
WeightsType = Literal["auto", "bfloat16", "float16", "float32"]


class EngineConfig(Config):
    """What answers, greedily: a model in vLLM, in transformers, or behind an OpenAI-compatible server."""

    kind: EngineKind = "transformers"
    model: str = Field(description="folder of a checkpoint, a public name, or the name that a server knows")
    revision: str = Field("", description="commit of a public name on the hub; empty means the newest")
    dtype: WeightsType = Field("auto", description="auto is as the weights were saved, and float32 on CPUs")
    max_length: int = Field(0, ge=0, description="tokens of a prompt with its answer; 0 is the model's own")


class JudgeConfig(Config):
    """Models that judge answers, behind one OpenAI-compatible endpoint; of several the mean counts."""

    models: tuple[str, ...] = Field(min_length=1)
    temperature: float = Field(0.0, ge=0)
    max_tokens: int = Field(1024, ge=1)
    repeats: int = Field(1, ge=1, description="times that it is asked about each answer; the mean counts")
    max_side: int = Field(2048, ge=64, description="pixels; larger pictures are scaled down")
    swap: bool = Field(False, description="ask about two answers in both orders")


class BenchmarkJob(Job):
    """Ask one model everything that some benchmarks ask, and score what it answers."""

    kind: ClassVar[str] = "benchmarks"
    code: ClassVar[tuple[str, ...]] = ("rendering", "evaluation", "modelling")
    name: str = Field(description="how tables call the model")
    checkpoint: str = Field(description="what identifies the weights: a digest, or a name with its revision")
    engine: EngineConfig
    benchmarks: dict[str, str] = Field(description="by name, the digest of its files")
    limit: int = Field(0, ge=0, description="only the first samples of each; 0 means all")
    judge: JudgeConfig | None = Field(None, description="for the benchmarks that models judge")
    bootstrap_samples: int = Field(1000, ge=100)
    seed: int = 0

    def identity(self) -> dict[str, Any]:
        """As of every job, but for where the weights lie: `checkpoint` identifies them."""
        identity = super().identity()
        return identity | {"engine": {key: value for key, value in identity["engine"].items() if key != "model"}}

    def output(self) -> str:
        """The folder that was asked for, or one among the artifacts."""
        return self.where.out or super().output()


# --- records: what a step leaves behind -------------------------------------------------------------------------------


CODE_PARTS = ("DWCG", "DWCG_R", "WebSight")
QUESTION_PARTS = ("DWU", "DWU_R", "WUB")


class Shard(Config):
    """One Parquet file of a dataset of samples, named after its content."""

    path: str
    part: str
    split: Literal["train", "eval"]
    num_rows: int
    num_bytes: int
    sha256: str


class DatasetRecord(Config):
    """What a dataset of samples holds; every file of it but this record is named after its content."""

    fingerprint: str
    data: DataConfig
    chromium: str = ""
    shards: tuple[Shard, ...] = ()
    manifests: dict[str, str] = Field({}, description="by part, the file with its rows without content")
    quarantine: str = Field("", description="the file with the rows that were left out")
    num_samples: dict[str, int] = Field({}, description="by part")
    num_pairs: dict[str, int] = Field({}, description="by part, questions with answers")
    num_quarantined: int = 0
    licences: dict[str, tuple[str, ...]] = Field({}, description="by part")

    @property
    def all_licences(self) -> tuple[str, ...]:
        """Every licence that some sample stands under, sorted."""
        return tuple(sorted({licence for found in self.licences.values() for licence in found}))

    @property
    def num_pages(self) -> int:
        """Pages with their HTML."""
        return self.count_pages("train") + self.count_pages("eval")

    @property
    def num_questions(self) -> int:
        """Questions about pages."""
        return sum(self.num_pairs.get(part, 0) for part in QUESTION_PARTS)

    def count_pages(self, split: Literal["train", "eval"]) -> int:
        """Pages with their HTML in one split."""
        return sum(shard.num_rows for shard in self.shards if shard.part in CODE_PARTS and shard.split == split)


class PreparedPart(PartShare):
    """A part of the dataset, as one stage is trained on it."""

    stage: StageName


class PreparedLayout(Config):
    """What the numbers in the arrays stand for: the parts, and the pictures' shards and normalisation.

    Pictures of an image-text-to-text model are files, for the processor in the folder `processor`.
    """

    parts: tuple[PreparedPart, ...]
    pixel_mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pixel_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    processor: str = ""
    shards: tuple[str, ...] = ()


class PreparedRecord(Config):
    """The tokenizer, base checkpoint and arrays that training reads."""

    fingerprint: str
    dataset_version: str
    num_parameters: int
    vocab_size: int
    num_samples: dict[str, int] = Field(description="by stage and part")
    num_truncated: int
    num_dropped: int = Field(0, description="samples of which the context has no room for a learned token")
    mean_tokens: float
    warmup_first_loss: float | None = None
    warmup_last_loss: float | None = None


class StageMeasurements(Config):
    """What the steps of a stage measured: medians, but for memory, which is the most (docs/metrics.md)."""

    tokens_per_second: float
    samples_per_second: float
    padding_share: float
    data_wait_share: float
    memory_bytes: int
    gradient_norm: float | None = None
    mfu: float | None = None
    source_losses: dict[str, tuple[float, float]] = Field(
        {}, description="by source, of the first step that had it, and the mean of the last ten"
    )


class StageRecord(Config):
    """How a training stage went. Times are in seconds."""

    fingerprint: str
    name: str
    zero_stage: int
    steps: int
    first_loss: float
    last_loss: float
    seconds_to_first_step: float
    seconds: float
    resumed_from_step: int = 0
    num_workers: tuple[int, ...] = Field((), description="numbers of workers that trained it, in turn")
    failures: int = Field(0, description="attempts that failed and were followed by others")
    preemptions: int = Field(0, description="likewise, but because a machine was taken away")
    skipped: tuple[int, ...] = Field((), description="steps whose update was left out, counted from 1")
    spikes: tuple[int, ...] = Field((), description="steps whose loss was far above those before them")
    num_trained_parameters: int = 0
    samples_per_second: float = 0.0
    prepared: str = Field("", description="fingerprint of the prepared artifact it was trained on")
    previous: str = Field("", description="fingerprint of the stage it went on from")
    losses: tuple[float, ...] = Field(
        (), description="loss of every step; of a skipped step whose loss is not finite, that of the step before"
    )
    learning_rates: tuple[float, ...] = ()
    held_out: tuple[tuple[int, float], ...] = Field((), description="steps, and the held-out loss after each")
    kept_step: int = Field(0, description="the step whose weights were kept; 0 means the last")
    measurements: StageMeasurements | None = None


class Interval(Config):
    """A score with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


class Understanding(Config):
    """WUB: yes/no questions about held-out pages. Accuracies are shares of all `num` questions."""

    accuracy: float
    num: int
    unparsed: int
    interval: Interval
    balanced_accuracy: float
    yes_ratio: float
    majority: float
    intervals: dict[str, Interval] = Field({}, description="of balanced_accuracy, yes_ratio and the share of unparsed")


# WCGB's groups of aspects, in the order of its rubric (arXiv 2406.20098); overall is the mean of the groups.
GROUP_ASPECTS = {
    "vsa": ("layout", "alignment", "proportions", "harmony"),
    "cad": ("colour_scheme", "aesthetics"),
    "tcc": ("fonts", "text", "numbers"),
    "uii": ("interface",),
}
GROUPS = ("overall", *GROUP_ASPECTS)
ASPECTS = tuple(aspect for aspects in GROUP_ASPECTS.values() for aspect in aspects)


class Visual(Config):
    """WCGB visual scores, 0 to 10, over all `num` pages; a page that did not render scores 0."""

    overall: float
    vsa: float
    cad: float
    tcc: float
    uii: float
    num: int
    render_failed: int
    intervals: dict[str, Interval]
    aspects: dict[str, float] = {}
    aspect_intervals: dict[str, Interval] = {}
    failed_share: Interval | None = Field(None, description="of the pages, those that did not render")


class SystemResult(Config):
    """Scores of one system: a model or a baseline."""

    wub: Understanding
    wcgb_visual: Visual


class PixelResult(Config):
    """Scores on screenshots that have no reference HTML: pixels only, 0 to 10."""

    num: int
    render_failed: int
    similarity: Interval
    failed_share: Interval | None = Field(None, description="of the screenshots, those whose answer did not render")


class EvaluationRecord(Config):
    """All systems on the same frozen pages. Per-sample rows and pictures lie beside this record."""

    fingerprint: str
    dataset_version: str
    evaluator: str
    candidate: str = Field("", description="fingerprint of the stage that was judged")
    prepared: str = Field("", description="fingerprint of the prepared artifact of the untrained baseline")
    champion: str = Field("", description="fingerprint of the champion's stage, where there was one")
    systems: dict[str, SystemResult] = Field(description="candidate, untrained, constant_page and perhaps champion")
    screenshots: dict[str, PixelResult] = {}
    differences: dict[str, Interval] = Field(
        {}, description="by other system: the candidate's overall visual score less the other's, page by page"
    )
    group_differences: dict[str, dict[str, Interval]] = Field(
        {}, description="by group of the visual score and other system, likewise"
    )
    understanding_differences: dict[str, Interval] = Field({}, description="of the share of right answers, likewise")
    failure_differences: dict[str, Interval] = Field({}, description="of the share of failed pages, likewise")
    screenshot_differences: dict[str, dict[str, Interval]] = Field(
        {}, description="of `similarity` to real screenshots and of the share that `failed`, by other system, likewise"
    )
    seconds: dict[str, float] = {}


class ScoreDifference(Config):
    """The candidate's score less the champion's, sample by sample.

    `p` is how likely a candidate as good as the champion falls so far behind by chance. It is not corrected for how
    many scores there are: a correction keeps one from claiming too much, and here would hide harm.
    """

    difference: Interval
    scale: float = Field(gt=0, description="the largest value there is: 1 for a share, 10 for points")
    better: Literal["more", "less"]
    p: float


class BenchmarkResult(Config):
    """The candidate's main figure on a benchmark and, where there is a champion, how it stands beside the champion's.

    `p` is how likely so large a difference is between models that are alike, after Holm over the benchmarks.
    """

    title: str
    figure: str
    scale: float = Field(gt=0, description="the largest value there is: 1 for a share, 10 for points")
    num: int = Field(description="samples")
    lost: int = Field(description="of them those without an answer or a score")
    candidate: Interval
    champion: Interval | None = None
    difference: Interval | None = Field(None, description="the candidate's less the champion's, sample by sample")
    better: Literal["more", "less", "neither"] = "neither"
    p: float | None = None
    verdict: Literal["better", "worse", "undecided", ""] = ""
    scores: dict[str, ScoreDifference] = Field(
        {}, description="beside the champion, by figure: the main one and those of the benchmark's parts"
    )


class BenchmarksRecord(Config):
    """What benchmarks say of a candidate. The answers lie in the folders of its job and the champion's."""

    fingerprint: str
    candidate: str = Field(description="fingerprint of the job that asked the candidate")
    champion: str = Field("", description="of the one that asked the champion, where there was one")
    results: dict[str, BenchmarkResult] = Field(description="by benchmark")


class Decision(Config):
    """The gate's verdict, in a sentence."""

    promoted: bool
    reason: str


class ModelRecord(Config):
    """A registered version."""

    name: str
    version: int
    aliases: tuple[str, ...]


class RegisteredCheckpoint(Config):
    """A registered version, and the folder that its checkpoint lies in."""

    name: str
    version: int
    folder: str


class RegistrationRecord(Config):
    """What was registered, from what: the end of the chain that leads back to the dataset and its sources."""

    model: ModelRecord
    run: str = Field(description="MLflow's run")
    recipe: Recipe
    dataset_version: str
    stages: tuple[str, ...] = Field(description="fingerprints, the last is the model's")
    evaluation: str = Field(description="fingerprint")
    benchmarks: str = Field("", description="fingerprint, where benchmarks were asked")
    decision: Decision
    licences: tuple[str, ...] = Field((), description="of everything the model was trained on")
    use: str = Field("", description="what they make of the model: commercial, unclear or non-commercial")


class VersionRecord(Config):
    """A dataset that has been versioned and pushed."""

    dataset: str = Field(description="fingerprint of the dataset")
    version: str = Field(description="DVC's hash of the folder")


class SelectionRecord(Config):
    """What was scored and kept; `selected.parquet` beside it names the samples."""

    fingerprint: str
    dataset: str
    selection: SelectionConfig
    num_samples: int
    num_scored: int
    num_selected: int
    unscored: dict[str, int] = Field({}, description="samples without a score, by reason")


class CheckResult(Config):
    """The outcome of one check."""

    severity: Literal["block", "warn"]
    num_bad: int
    share: float
    examples: tuple[str, ...] = ()


class ValidationRecord(Config):
    """The verdict on a dataset; `quarantine.parquet` beside it names the rows that training leaves out."""

    fingerprint: str
    success: bool
    dataset: str = Field(description="fingerprint")
    num_rows: int
    num_quarantined: int = Field(description="rows that the gate takes out; the build left out others")
    num_left_out_by_build: int
    checks: dict[str, CheckResult]
    cut_share: float = Field(description="label-mask audit: share of samples with an answer that is cut off in part")
    untrained_share: float = Field(description="share of samples with an answer of which nothing would be trained on")
    marker_share: float = Field(description="share of samples that code splitting on strings would mask or damage")
    non_commercial: bool
    licences: tuple[str, ...]
    data_docs: str


# --- identity ---------------------------------------------------------------------------------------------------------


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@cache
def code_digest(parts: tuple[str, ...]) -> str:
    """SHA-256 of the source of the named subpackages or modules of `web2code`."""
    return digest({part: [_file_digest(path) for path in _sources(part)] for part in parts})


def _sources(part: str) -> list[Path]:
    module = PACKAGE / f"{part}.py"
    found = [module] if module.exists() else sorted((PACKAGE / part).rglob("*.py"))
    if not found:
        raise ValueError(f"web2code has no module named {part!r}: a job's code list is wrong")
    return found


def _file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_tree(path: Path) -> str:
    """Digest of the names and bytes of all files of a folder, several of which are read at once.

    Raises:
        ValueError: the folder is not there, or empty.
    """
    files = sorted(file for file in path.rglob("*") if file.is_file())
    if not files:
        raise ValueError(f"{path} is no folder with files: download the data into it")
    names = [file.relative_to(path).as_posix() for file in files]
    with ThreadPoolExecutor() as pool:
        return digest(list(zip(names, pool.map(_file_digest, files), strict=True)))[:16]


def digest_folder(path: Path, suffixes: tuple[str, ...]) -> str:
    """Digest of the names and bytes of the files below `path` that end in one of `suffixes`.

    Raises:
        ValueError: the folder is not there, or holds no such file.
    """
    if not path.is_dir():
        raise ValueError(f"{path} is not a folder: name a folder that holds {' or '.join(suffixes)} files")
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in suffixes)
    if not files:
        raise ValueError(f"{path} holds no {' or '.join(suffixes)} file: name a folder that does")
    return digest([(str(file.relative_to(path)), _file_digest(file)) for file in files])[:16]

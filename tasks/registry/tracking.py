"""What MLflow is told about a candidate: its run, its model, its scores. Importing this takes seconds."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelStatus, Metric, Param, Run
from mlflow.environment_variables import MLFLOW_TRACKING_URI
from mlflow.models import ModelSignature
from mlflow.tracking.context.registry import resolve_tags
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

from tasks.registry.reader import sqlite_path
from web2code.config import PACKAGE, BenchmarksRecord, EvaluationRecord, Recipe, StageRecord

MODEL_CODE = "ray_jobs.pyfunc_model"
REQUIREMENTS = ("numpy", "pandas", "pillow", "pydantic", "safetensors", "tokenizers", "torch", "transformers")
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "image"), ColSpec("string", "prompt")]),
    outputs=Schema([ColSpec("string")]),
    params=ParamSchema([ParamSpec("max_new_tokens", "long", 320)]),
)
MAX_METRICS, MAX_PARAMS = 1000, 100


@dataclass(frozen=True)
class Logged:
    """A finished run and the model it made."""

    run: str
    model: str


def open_store(store: str) -> mlflow.MlflowClient:
    """A client of the tracking store; a SQLite store is made in one piece, for one that is half made is of no use."""
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    database = sqlite_path(store)
    if database and not database.exists():
        database.parent.mkdir(parents=True, exist_ok=True)
        unfinished = database.with_name(f"{database.name}.{os.getpid()}.unfinished")
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{unfinished}").search_experiments()
        os.replace(unfinished, database)
    given = os.environ.get(MLFLOW_TRACKING_URI.name)
    mlflow.set_tracking_uri(store)
    if given is None:  # MLflow sets it for child processes; here it would lead another home to this one's store
        os.environ.pop(MLFLOW_TRACKING_URI.name, None)
    return mlflow.MlflowClient()


def find_run(client: mlflow.MlflowClient, experiment: str, tag: str, value: str) -> Run | None:
    """The run that carries a tag: the finished one, or else the one that was begun first."""
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id], f"tags.`{tag}` = '{value}'") if found else []
    return min(runs, key=lambda run: (run.info.status != "FINISHED", run.info.start_time), default=None)


def open_run(client: mlflow.MlflowClient, experiment: str, name: str, tag: str, tags: dict[str, str]) -> Run:
    """The run that `tag` tells from all others, in progress unless it is finished, or a new one."""
    if run := find_run(client, experiment, tag, tags[tag]):
        if run.info.status not in ("RUNNING", "FINISHED"):
            client.update_run(run.info.run_id, "RUNNING")
        return run
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else _create_experiment(client, experiment)
    return client.create_run(experiment_id, tags=resolve_tags(tags), run_name=name)


def logged_steps(client: mlflow.MlflowClient, run: str, stage: str) -> set[int]:
    """The steps of a stage that a run holds."""
    return {metric.step for metric in client.get_metric_history(run, f"{stage}/loss")}


def log_steps(client: mlflow.MlflowClient, run: str, stage: str, steps: list[dict[str, float]]) -> None:
    """What steps measured, by name, with their numbers as `step` and their Unix time as `time`.

    A step arrives whole or not at all.
    """
    size = MAX_METRICS // max(map(len, steps), default=1)
    for start in range(0, len(steps), size):
        metrics = [
            Metric(f"{stage}/{name}", value, round(step["time"] * 1000), int(step["step"]))
            for step in steps[start : start + size]
            for name, value in step.items()
            if name not in ("step", "time")
        ]
        client.log_batch(run, metrics=metrics)


def log_training(
    client: mlflow.MlflowClient,
    run: Run,
    recipe: Recipe,
    dataset_version: str,
    stages: list[StageRecord],
    model_dir: Path,
    tags: dict[str, str],
) -> Logged:
    """Finish a run: the recipe, the dataset, steps that were not logged live, and a model that loads anywhere.

    What a kill left half done is completed; a run that is finished stays as it is.
    """
    run_id = run.info.run_id
    if run.info.status == "FINISHED":
        return Logged(run_id, _model_of(client, run_id))
    with mlflow.start_run(run_id=run_id, tags=tags):
        _log_in_parts(client, run_id, "params", list(_params(recipe, dataset_version)), MAX_PARAMS)
        mlflow.log_dict(recipe.model_dump(mode="json"), "recipe.json")
        client.log_inputs(run_id, [DatasetInput(_dataset(dataset_version), [InputTag("mlflow.data.context", "train")])])
        for stage in stages:
            _log_stage(client, run_id, stage)
        return Logged(run_id, _model_of(client, run_id) or _log_model(model_dir))


def log_evaluation(
    client: mlflow.MlflowClient, logged: Logged, dataset_version: str, evaluation: EvaluationRecord
) -> None:
    """The scores of every system with their intervals, tied to the model and the dataset."""
    mlflow.log_metrics(
        dict(scores(evaluation)), run_id=logged.run, model_id=logged.model, dataset=_dataset(dataset_version)
    )
    client.set_tag(logged.run, "web2code.evaluation", evaluation.fingerprint)


def log_benchmarks(client: mlflow.MlflowClient, logged: Logged, benchmarks: BenchmarksRecord) -> None:
    """The main figure of both models on each benchmark with its interval, tied to the model."""
    metrics: dict[str, float] = {}
    for name, result in benchmarks.results.items():
        for system, found in (("candidate", result.candidate), ("champion", result.champion)):
            if found:
                ends = {"": found.mean, "_low": found.low, "_high": found.high}
                metrics |= {f"{system}/benchmarks/{name}{end}": value for end, value in ends.items()}
    mlflow.log_metrics(metrics, run_id=logged.run, model_id=logged.model)
    client.set_tag(logged.run, "web2code.benchmarks", benchmarks.fingerprint)


def scores(evaluation: EvaluationRecord) -> Iterator[tuple[str, float]]:
    """Every score by its name in MLflow: system, then score."""
    for name, system in evaluation.systems.items():
        yield f"{name}/wub_accuracy", system.wub.accuracy
        yield f"{name}/wub_accuracy_low", system.wub.interval.low
        yield f"{name}/wub_accuracy_high", system.wub.interval.high
        yield f"{name}/wub_unparsed", system.wub.unparsed
        yield f"{name}/render_failed", system.wcgb_visual.render_failed
        for group, interval in system.wcgb_visual.intervals.items():
            yield f"{name}/{group}", interval.mean
            yield f"{name}/{group}_low", interval.low
            yield f"{name}/{group}_high", interval.high


def find_version(client: mlflow.MlflowClient, name: str, tag: str, value: str) -> str:
    """The version that carries a tag; empty where there is none."""
    found = client.search_model_versions(f"name = '{name}' and tags.`{tag}` = '{value}'")
    return str(min(int(version.version) for version in found)) if found else ""


def create_version(client: mlflow.MlflowClient, name: str, logged: Logged, tags: dict[str, str]) -> str:
    """A new version that carries its tags from the start."""
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    created = client.create_model_version(name, f"models:/{logged.model}", logged.run, model_id=logged.model, tags=tags)
    return str(created.version)


def aliases(client: mlflow.MlflowClient, name: str) -> dict[str, str]:
    """The version that each alias of a model points at."""
    found = client.search_registered_models(f"name = '{name}'")
    return {alias: str(version) for alias, version in found[0].aliases.items()} if found else {}


def find_tag(client: mlflow.MlflowClient, name: str, alias: str, tag: str) -> str:
    """A tag of the version that an alias points at; empty where there is no such version."""
    version = aliases(client, name).get(alias)
    return client.get_model_version(name, version).tags.get(tag, "") if version else ""


def _create_experiment(client: mlflow.MlflowClient, name: str) -> str:
    database = sqlite_path(client.tracking_uri)
    location = (database.parent / "mlartifacts").as_uri() if database else None
    return client.create_experiment(name, artifact_location=location)


def _log_in_parts(client: mlflow.MlflowClient, run: str, kind: str, values: list[Any], most: int) -> None:
    for start in range(0, len(values), most):
        client.log_batch(run, **{kind: values[start : start + most]})


def _params(recipe: Recipe, dataset_version: str) -> Iterator[Param]:
    yield Param("dataset_version", dataset_version)
    yield from (Param(key, str(value)) for key, value in _flat(recipe.model_dump(mode="json")))


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _log_stage(client: mlflow.MlflowClient, run: str, stage: StageRecord) -> None:
    """Loss and learning rate of the steps that were not logged live, and the stage's own figures."""
    now, there = time.time(), logged_steps(client, run, stage.name)
    curves = enumerate(zip(stage.losses, stage.learning_rates, strict=True), start=1)
    log_steps(
        client,
        run,
        stage.name,
        [
            {"step": step, "time": now, "loss": loss, "learning_rate": rate}
            for step, (loss, rate) in curves
            if step not in there
        ],
    )
    if f"{stage.name}/seconds" not in client.get_run(run).data.metrics:
        log_steps(client, run, stage.name, [{"step": 0, "time": now, **_figures(stage)}])


def _figures(stage: StageRecord) -> dict[str, float]:
    measured = stage.measurements.model_dump(exclude_none=True) if stage.measurements else {}
    sources = measured.pop("source_losses", {})
    figures = {"seconds": stage.seconds, "seconds_to_first_step": stage.seconds_to_first_step}
    figures |= {f"overall/{name}": value for name, value in measured.items()}
    return figures | {f"overall/source_loss/{name}": last for name, (_, last) in sources.items()}


def _model_of(client: mlflow.MlflowClient, run: str) -> str:
    """The model that a run made, if it is whole; empty where there is none."""
    outputs = client.get_run(run).outputs
    made = [client.get_logged_model(output.model_id) for output in outputs.model_outputs] if outputs else []
    return next((model.model_id for model in made if model.status == LoggedModelStatus.READY), "")


def _log_model(model_dir: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the signature was not inferred from an example
        model = mlflow.pyfunc.log_model(
            name="model",
            python_model=_source(MODEL_CODE),
            artifacts={"checkpoint": str(model_dir)},
            code_paths=[str(PACKAGE)],
            signature=SIGNATURE,
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in REQUIREMENTS],
        )
    return model.model_id


def _dataset(version: str) -> Dataset:
    return Dataset(name="data", digest=version, source_type="dvc", source=f'{{"path": "data.dvc", "md5": "{version}"}}')


def _source(module: str) -> str:
    specification = importlib.util.find_spec(module)
    assert specification is not None
    assert specification.origin is not None
    return specification.origin

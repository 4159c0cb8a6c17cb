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
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

from tasks.registry.reader import sqlite_path
from web2code.config import PACKAGE, EvaluationRecord, Recipe, StageRecord

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
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    database = sqlite_path(store)
    if database and not database.exists():
        database.parent.mkdir(parents=True, exist_ok=True)
        unfinished = database.with_name(f"{database.name}.{os.getpid()}.unfinished")
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{unfinished}").search_experiments()
        os.replace(unfinished, database)
    mlflow.set_tracking_uri(store)
    return mlflow.MlflowClient()


def find_run(client: mlflow.MlflowClient, experiment: str, tag: str, value: str) -> Logged | None:
    """The finished run that carries a tag; runs that a kill left unfinished are marked as killed."""
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return None
    runs = client.search_runs([found.experiment_id], f"tags.`{tag}` = '{value}'")
    for run in runs:
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")
    finished = [run for run in runs if run.info.status == "FINISHED"]
    return Logged(finished[0].info.run_id, finished[0].outputs.model_outputs[0].model_id) if finished else None


def log_training(
    client: mlflow.MlflowClient,
    recipe: Recipe,
    dataset_version: str,
    stages: list[StageRecord],
    model_dir: Path,
    tags: dict[str, str],
) -> Logged:
    """A run with the recipe, the dataset, the loss of every step, and the checkpoint as a model that loads anywhere."""
    experiment = client.get_experiment_by_name(recipe.name)
    experiment_id = experiment.experiment_id if experiment else _create_experiment(client, recipe.name)
    name = f"{recipe.name}-{stages[-1].fingerprint[:8]}"
    with mlflow.start_run(experiment_id=experiment_id, run_name=name, tags=tags) as run:
        run_id = run.info.run_id
        _log_in_parts(client, run_id, "params", list(_params(recipe, dataset_version)), MAX_PARAMS)
        mlflow.log_dict(recipe.model_dump(mode="json"), "recipe.json")
        client.log_inputs(run_id, [DatasetInput(_dataset(dataset_version), [InputTag("mlflow.data.context", "train")])])
        _log_in_parts(client, run_id, "metrics", [metric for stage in stages for metric in _curves(stage)], MAX_METRICS)
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
    return Logged(run_id, model.model_id)


def log_evaluation(
    client: mlflow.MlflowClient, logged: Logged, dataset_version: str, evaluation: EvaluationRecord
) -> None:
    """The scores of every system with their intervals, tied to the model and the dataset."""
    mlflow.log_metrics(
        dict(scores(evaluation)), run_id=logged.run, model_id=logged.model, dataset=_dataset(dataset_version)
    )
    client.set_tag(logged.run, "web2code.evaluation", evaluation.fingerprint)


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


def _curves(stage: StageRecord) -> Iterator[Metric]:
    now = round(time.time() * 1000)
    for name, values in (("loss", stage.losses), ("learning_rate", stage.learning_rates)):
        yield from (Metric(f"{stage.name}/{name}", value, now, step) for step, value in enumerate(values, 1))
    for name in ("seconds", "seconds_to_first_step", "samples_per_second"):
        yield Metric(f"{stage.name}/{name}", getattr(stage, name), now, 0)


def _dataset(version: str) -> Dataset:
    return Dataset(name="data", digest=version, source_type="dvc", source=f'{{"path": "data.dvc", "md5": "{version}"}}')


def _source(module: str) -> str:
    specification = importlib.util.find_spec(module)
    assert specification is not None
    assert specification.origin is not None
    return specification.origin

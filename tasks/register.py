"""The registry: a model version for each candidate, once, and an alias that only the gate moves."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import time
import warnings
from pathlib import Path
from typing import Any

from prefect import task

from tasks.reuse import note_reuse
from web2code.artifacts import publish, read_record
from web2code.config import Decision, EvaluationRecord, ModelRecord, Recipe, StageRecord, digest
from web2code.services import mlflow_store

CHAMPION = "champion"
STAGE_TAG = "web2code.stage"
KEY_TAG = "web2code.run_key"


@task(task_run_name="find-champion")
def find_champion(model_name: str, home: Path) -> str:
    """Fingerprint of the champion's last stage; empty where there is no champion."""
    if not (home / "mlflow.db").exists() and "MLFLOW_TRACKING_URI" not in os.environ:
        return ""
    record = read_champion(home, model_name)
    if record is not None and "MLFLOW_TRACKING_URI" not in os.environ:
        return record
    client = _client(home)
    try:
        return client.get_model_version_by_alias(model_name, CHAMPION).tags.get(STAGE_TAG, "")
    except _mlflow_error():
        return ""


@task(task_run_name="register-model", retries=2, retry_delay_seconds=2)
def register_model(
    recipe: Recipe,
    dataset_version: str,
    stages: list[StageRecord],
    evaluation: EvaluationRecord,
    decision: Decision,
    model_dir: Path,
    home: Path,
) -> ModelRecord:
    """Register the candidate, once, and make it champion where the gate decided so.

    The order survives a kill at any point: the version is found again by its key, the decision is written to it before
    the alias moves, and the step is committed last.
    """
    key = digest([evaluation.fingerprint, decision.model_dump()])[:16]
    marker = f"{home}/artifacts/registration/{key}"
    if done := read_record(marker, ModelRecord):
        note_reuse(f"version {done.version}")
        return done
    client = _client(home)
    name = recipe.model_name
    version = _find_version(client, name, key) or _create_version(
        client, recipe, dataset_version, stages, evaluation, model_dir, key
    )
    client.set_model_version_tag(name, version, "web2code.decision", json.dumps(decision.model_dump()))
    if decision.promoted:
        client.set_model_version_tag(name, version, "web2code.promoted_at", f"{time.time():.0f}")
        client.set_registered_model_alias(name, CHAMPION, version)
        write_champion(home, name, stages[-1].fingerprint)
    aliases = tuple(client.get_model_version(name, version).aliases)
    record = ModelRecord(name=name, version=int(version), aliases=aliases)
    publish(Path(marker), marker, record)
    return record


def read_champion(home: Path, name: str) -> str | None:
    """The champion as the last registration left it, without asking MLflow."""
    path = home / "champions" / f"{name}.json"
    return json.loads(path.read_text())["stage"] if path.exists() else None


def write_champion(home: Path, name: str, stage: str) -> None:
    """Leave the champion's stage where the next run finds it without starting MLflow."""
    path = home / "champions" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({"stage": stage}))
    os.replace(unfinished, path)


def _client(home: Path) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    warnings.filterwarnings("ignore")
    import mlflow  # seconds to import, and not needed where the step is done

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(mlflow_store(home))
    return mlflow.MlflowClient()


def _mlflow_error() -> type[Exception]:
    from mlflow.exceptions import MlflowException

    return MlflowException


def _find_version(client: Any, name: str, key: str) -> str | None:
    found = client.search_model_versions(f"name = '{name}' and tags.`{KEY_TAG}` = '{key}'")
    return str(found[0].version) if found else None


def _create_version(
    client: Any,
    recipe: Recipe,
    dataset_version: str,
    stages: list[StageRecord],
    evaluation: EvaluationRecord,
    model_dir: Path,
    key: str,
) -> str:
    import mlflow

    experiment = client.get_experiment_by_name(recipe.name)
    experiment_id = experiment.experiment_id if experiment else _create_experiment(client, recipe.name)
    with mlflow.start_run(experiment_id=experiment_id, run_name=f"{recipe.name}-{stages[-1].fingerprint[:8]}") as run:
        mlflow.set_tags({KEY_TAG: key, STAGE_TAG: stages[-1].fingerprint, "web2code.dataset": dataset_version})
        mlflow.log_params(_flat({"recipe": recipe.name, "seed": recipe.seed, "dataset": dataset_version}))
        mlflow.log_dict(recipe.model_dump(mode="json"), "recipe.json")
        _log_stages(client, run.info.run_id, stages)
        mlflow.log_metrics(_scores(evaluation))
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=importlib.util.find_spec("ray_jobs.pyfunc_model").origin,
            artifacts={"checkpoint": str(model_dir)},
            signature=_signature(),
            pip_requirements=["torch", "transformers", "web2code"],
        )
    _create_registered_model(client, recipe.model_name)
    created = client.create_model_version(
        recipe.model_name, info.model_uri, run.info.run_id, model_id=info.model_id,
        tags={KEY_TAG: key, STAGE_TAG: stages[-1].fingerprint, "web2code.evaluation": evaluation.fingerprint,
              "web2code.dataset": dataset_version},
    )  # fmt: skip
    return str(created.version)


def _create_experiment(client: Any, name: str) -> str:
    uri = client.tracking_uri
    folder = Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts" if uri.startswith("sqlite:///") else None
    return client.create_experiment(name, artifact_location=folder.as_uri() if folder else None)


def _create_registered_model(client: Any, name: str) -> None:
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)


def _log_stages(client: Any, run_id: str, stages: list[StageRecord]) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    for stage in stages:
        metrics = [Metric(f"{stage.name}/loss", loss, now, step) for step, loss in enumerate(stage.losses, 1)]
        metrics += [
            Metric(f"{stage.name}/{name}", float(getattr(stage, name)), now, 0)
            for name in ("seconds", "seconds_to_first_step", "samples_per_second")
        ]
        for start in range(0, len(metrics), 1000):
            client.log_batch(run_id, metrics=metrics[start : start + 1000])


def _scores(evaluation: EvaluationRecord) -> dict[str, float]:
    scores = {}
    for name, system in evaluation.systems.items():
        scores[f"{name}/wub_accuracy"] = system.wub.accuracy
        scores[f"{name}/render_failed"] = float(system.wcgb_visual.render_failed)
        for group, interval in system.wcgb_visual.intervals.items():
            scores[f"{name}/{group}"] = interval.mean
            scores[f"{name}/{group}_low"], scores[f"{name}/{group}_high"] = interval.low, interval.high
    return scores


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    return ModelSignature(
        inputs=Schema([ColSpec("string", "image"), ColSpec("string", "prompt")]),
        outputs=Schema([ColSpec("string")]),
        params=ParamSchema([ParamSpec("max_new_tokens", "long", 320)]),
    )


def _flat(values: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}

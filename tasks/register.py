"""The registry: a model version for each candidate, once, and an alias that only the gate moves."""

from __future__ import annotations

import json
import time
from pathlib import Path

from prefect import task

from tasks.registry.alone import alone
from tasks.registry.keys import KEY_TAG, STAGE_TAG, run_key, run_name
from tasks.registry.reader import sqlite_path, tag_of_alias, version_with_tag
from tasks.reuse import note_reuse
from web2code.artifacts import publish, read_record, verify
from web2code.config import (
    BenchmarksRecord,
    Decision,
    EvaluationRecord,
    ModelRecord,
    Recipe,
    RegistrationRecord,
    StageRecord,
    digest,
)
from web2code.data.licences import restriction
from web2code.services import mlflow_store

CHAMPION = "champion"
DECISION_TAG = "web2code.decision"


@task(task_run_name="find-champion", retries=2, retry_delay_seconds=2)
def find_champion(model_name: str, home: Path) -> str:
    """Fingerprint of the champion's last stage; empty where there is no champion."""
    store = mlflow_store(home)
    if database := sqlite_path(store):
        return tag_of_alias(database, model_name, CHAMPION, STAGE_TAG)
    from tasks.registry.tracking import find_tag, open_store  # MLflow takes seconds to import

    return find_tag(open_store(store), model_name, CHAMPION, STAGE_TAG)


@task(
    task_run_name="register-model", retries=2, retry_delay_seconds=2,
    # A checkpoint that is damaged does not heal by itself.
    retry_condition_fn=lambda _task, _run, state: not isinstance(state.result(raise_on_failure=False), ValueError),
)  # fmt: skip
def register_model(
    recipe: Recipe,
    dataset_version: str,
    licences: tuple[str, ...],
    stages: list[StageRecord],
    evaluation: EvaluationRecord,
    decision: Decision,
    model_dir: Path,
    home: Path,
    benchmarks: BenchmarksRecord | None = None,
) -> ModelRecord:
    """Register the candidate, once, and make it champion where the gate decided so.

    The version is named by its weights: judged a second time it gets the new decision, not a second version.

    Raises:
        ValueError: the checkpoint is not what training committed.
    """
    store, key = mlflow_store(home), run_key(recipe.model_name, stages[-1].fingerprint)
    judged = [evaluation.fingerprint, *([benchmarks.fingerprint] if benchmarks else [])]
    marker = f"{home}/artifacts/registration/{digest([key, *judged, decision.model_dump(), store])[:16]}"
    if (done := read_record(marker, RegistrationRecord)) and (model := _registered(store, key, done.model)):
        note_reuse(f"version {model.version}")
        return model
    verify(str(model_dir.parent))
    with alone(home):
        model, run = _register(
            store, key, recipe, dataset_version, licences, stages, evaluation, benchmarks, decision, model_dir
        )
    record = RegistrationRecord(
        model=model,
        run=run,
        recipe=recipe,
        dataset_version=dataset_version,
        stages=tuple(stage.fingerprint for stage in stages),
        evaluation=evaluation.fingerprint,
        benchmarks=benchmarks.fingerprint if benchmarks else "",
        decision=decision,
        licences=licences,
        use=restriction(licences),
    )
    publish(Path(marker), marker, record)
    return model


def _register(
    store: str,
    key: str,
    recipe: Recipe,
    dataset_version: str,
    licences: tuple[str, ...],
    stages: list[StageRecord],
    evaluation: EvaluationRecord,
    benchmarks: BenchmarksRecord | None,
    decision: Decision,
    model_dir: Path,
) -> tuple[ModelRecord, str]:
    """What was done before a kill is found again by its key; the alias, which others act upon, moves last."""
    from tasks.registry import tracking  # MLflow takes seconds to import

    client, name = tracking.open_store(store), recipe.model_name
    tags = {KEY_TAG: key, STAGE_TAG: stages[-1].fingerprint, "web2code.dataset": dataset_version}
    tags |= {"web2code.licences": ", ".join(licences), "web2code.use": restriction(licences)}
    run = tracking.open_run(client, recipe.name, run_name(recipe.name, stages[-1].fingerprint), KEY_TAG, tags)
    logged = tracking.log_training(client, run, recipe, dataset_version, stages, model_dir, tags)
    tracking.log_evaluation(client, logged, dataset_version, evaluation)
    if benchmarks:
        tracking.log_benchmarks(client, logged, benchmarks)
    version = tracking.find_version(client, name, KEY_TAG, key) or tracking.create_version(client, name, logged, tags)
    champion = tracking.aliases(client, name).get(CHAMPION, "")
    verdict = decision.model_dump() | {"evaluation": evaluation.fingerprint}
    client.set_model_version_tag(name, version, DECISION_TAG, json.dumps(verdict))
    audit = json.dumps(verdict | {"champion_before": champion, "time": round(time.time())})
    client.set_model_version_tag(name, version, f"web2code.audit.{evaluation.fingerprint}", audit)
    if decision.promoted and champion != version:
        client.set_registered_model_alias(name, CHAMPION, version)
    aliases = sorted(alias for alias, at in tracking.aliases(client, name).items() if at == version)
    return ModelRecord(name=name, version=int(version), aliases=tuple(aliases)), logged.run


def _registered(store: str, key: str, model: ModelRecord) -> ModelRecord | None:
    """A model that was registered, as the store has it now; None where a local store has lost it."""
    database = sqlite_path(store)
    return version_with_tag(database, model.name, KEY_TAG, key) if database else model

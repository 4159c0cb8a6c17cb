"""The checkpoint of a registered model as a folder.

`python -m tasks.fetch_model '{"model": "NAME@ALIAS", "home": ...}'` runs it on its own.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.registry.keys import STAGE_TAG
from web2code.config import Config, RegisteredCheckpoint
from web2code.services import mlflow_store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

PREFIX = "models:/"
REFERENCE = re.compile(rf"(?:{PREFIX})?(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


class FetchJob(Config):
    """A model as `NAME@ALIAS`, `models:/NAME@ALIAS` or `models:/NAME/VERSION`."""

    model: str
    home: str


def fetch(job: FetchJob) -> RegisteredCheckpoint:
    """The folder of a registered model: that of its training while it is there, or else a copy of what was logged.

    Raises:
        ValueError: the store has no such model, version or alias, or the model holds no checkpoint of this project.
    """
    version = find(job.model, mlflow_store(Path(job.home)))
    trained = Path(job.home) / "artifacts" / "stage" / version.tags.get(STAGE_TAG, "none") / "model"
    folder = trained if trained.is_dir() else download(version, Path(job.home))
    return RegisteredCheckpoint(name=version.name, version=int(version.version), folder=str(folder))


def find(model: str, store: str) -> ModelVersion:
    """The version that a reference points at."""
    given = REFERENCE.fullmatch(model)
    if not given:
        raise ValueError(f"{model} names no registered model: write NAME@ALIAS or models:/NAME/VERSION")
    from mlflow.exceptions import MlflowException  # MLflow takes seconds to import

    from tasks.registry.tracking import open_store

    client = open_store(store)
    try:
        if given["alias"]:
            return client.get_model_version_by_alias(given["name"], given["alias"])
        return client.get_model_version(given["name"], given["version"])
    except MlflowException as error:
        raise ValueError(f"{model} is not in {store}: {error.message}") from None


def download(version: ModelVersion, home: Path) -> Path:
    """A copy of the checkpoint that was logged with a version, made once."""
    folder = home / "artifacts" / "registered" / str(version.run_id)
    if not folder.is_dir():
        from mlflow.artifacts import download_artifacts
        from mlflow.models import Model

        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}.unfinished")
        unfinished.mkdir(parents=True)
        try:
            place = Path(download_artifacts(f"{PREFIX}{version.name}/{version.version}", dst_path=str(unfinished)))
            flavour = Model.load(str(place)).flavors.get("python_function", {})
            checkpoint = flavour.get("artifacts", {}).get("checkpoint", {}).get("path", "")
            if not checkpoint:
                raise ValueError(
                    f"{version.name} {version.version} holds no checkpoint: name one that a run registered"
                )
            (place / checkpoint).replace(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


if __name__ == "__main__":
    print(fetch(FetchJob.model_validate_json(sys.argv[1])).model_dump_json())

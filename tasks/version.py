"""Dataset versions by DVC: the dataset goes to `data/`, its identity to `data.dvc`, its bytes to the default remote.

DVC runs as a process of its own: its Python interface keeps repository locks and state in the calling process, and a
flow that is killed must not hold them. The remote is a local folder unless `.dvc/config.local` names another, for
example `dvc remote add --local -d store s3://bucket/path` and `dvc remote modify --local store verify true`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from prefect import task

from tasks.reuse import note_reuse
from web2code import dataset
from web2code.artifacts import publish, read_record
from web2code.config import DatasetRecord, VersionRecord


@task(
    task_run_name="version-dataset", retries=2, retry_delay_seconds=2, retry_condition_fn=lambda *run: dvc_failed(*run)
)
def version_dataset(artifact: str, data_dir: Path, home: Path, record: DatasetRecord) -> str:
    """Make `data_dir` hold the dataset, version it and push it; returns DVC's hash of the folder.

    Raises:
        ValueError: the folder holds something else, or a shard of it was damaged.
        RuntimeError: DVC failed; the message is its own.
    """
    marker = f"{home}/artifacts/version/{record.fingerprint}"
    known = read_record(marker, VersionRecord)
    here = data_dir / dataset.RECORD
    same = here.exists() and dataset.load_record(data_dir).fingerprint == record.fingerprint
    if same:
        dataset.verify_shards(data_dir)
        if known and read_version(data_dir) == known.version:
            note_reuse(known.version)
            return known.version
    elif data_dir.exists() and any(data_dir.iterdir()) and not here.exists():
        raise ValueError(f"{data_dir} holds files that are no dataset of this pipeline: move them away and run again")
    else:
        place(Path(artifact), data_dir, record)
    dvc(data_dir.parent, "add", data_dir.name)
    dvc(data_dir.parent, "push", f"{data_dir.name}.dvc")
    version = read_version(data_dir)
    publish(Path(marker), marker, VersionRecord(dataset=record.fingerprint, version=version))
    return version


def place(artifact: Path, data_dir: Path, record: DatasetRecord) -> None:
    """Fill `data_dir` with a dataset's files; the one that was there stays in DVC's cache."""
    unfinished = data_dir.with_name(f".{data_dir.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name in [*(shard.path for shard in record.shards), dataset.MANIFEST, dataset.RECORD]:
        shutil.copyfile(artifact / name, unfinished / name)
    if data_dir.exists():
        shutil.rmtree(data_dir)
    os.replace(unfinished, data_dir)


def read_version(data_dir: Path) -> str:
    """DVC's hash of the folder, from its `.dvc` file; empty where there is none."""
    pointer = data_dir.with_name(f"{data_dir.name}.dvc")
    return yaml.safe_load(pointer.read_text())["outs"][0]["md5"] if pointer.exists() else ""


def dvc(root: Path, *arguments: str) -> str:
    """Run a DVC command in the repository."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments, "--quiet"], cwd=root, capture_output=True, text=True, check=False,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
    )  # fmt: skip
    if done.returncode:
        message = " ".join((done.stderr or done.stdout).split())
        raise RuntimeError(f"dvc {' '.join(arguments)} failed in {root}: {message}")
    return done.stdout


def dvc_failed(_task, _run, state) -> bool:
    """Only DVC's own failures are tried again: a damaged folder does not heal by itself."""
    return isinstance(state.result(raise_on_failure=False), RuntimeError)

"""Dataset versions by DVC: the dataset goes to `data/`, its identity to `data.dvc`, its bytes to the default remote.

DVC runs as a process of its own: its Python interface keeps locks and state in the calling process, where a flow that
is killed or runs a second time would meet them; a process takes its lock with it when it ends.

The remote is a local folder unless `.dvc/config.local` names another, for example `dvc remote add --local -d store
s3://bucket/path` and `dvc remote modify --local store verify true`; credentials come from the environment. Without
`verify true` a pull accepts an object that was changed on the remote.
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
from web2code.artifacts import publish, read_record, replace_text
from web2code.config import DatasetRecord, VersionRecord, digest
from web2code.data import shards

# What a folder outside any DVC repository gets, so that the pipeline also runs where only the package is installed.
CONFIG = """\
[core]
    remote = local
    no_scm = true
    analytics = false
    check_update = false
['remote "local"']
    url = {remote}
    verify = true
"""


@task(
    task_run_name="version-dataset", retries=2, retry_delay_seconds=2, retry_condition_fn=lambda *run: dvc_failed(*run)
)
def version_dataset(artifact: str, data_dir: Path, home: Path, record: DatasetRecord) -> str:
    """Make `data_dir` hold exactly the dataset, version it and push it; returns DVC's hash of the folder.

    Raises:
        ValueError: the folder holds something else, or a file of its dataset is missing or damaged.
        RuntimeError: DVC failed; the message is its own.
    """
    root, name = data_dir.parent, data_dir.name
    ensure_repository(root, home)
    marker = f"{home}/artifacts/version/{_marker(data_dir, record)}"
    known, held = read_record(marker, VersionRecord), held_dataset(data_dir)
    if held == record and known and read_version(data_dir) == known.version:
        note_reuse(known.version)
        return known.version
    if held != record:
        if held is not None:
            dvc(root, "add", name)  # so that the dataset that was there stays in the cache
        place(Path(artifact), data_dir, record)
    dvc(root, "add", name)
    dvc(root, "push", f"{name}.dvc")
    version = read_version(data_dir)
    publish(Path(marker), marker, VersionRecord(dataset=record.fingerprint, version=version))
    return version


def held_dataset(data_dir: Path) -> DatasetRecord | None:
    """The complete dataset that the folder holds, every shard hashed again; None where the folder is empty.

    Raises:
        ValueError: a file is missing, damaged, or does not belong there.
    """
    there = {str(path.relative_to(data_dir)) for path in data_dir.rglob("*") if path.is_file()}
    if not there:
        return None
    if shards.RECORD not in there:
        raise ValueError(
            f"{data_dir} holds files but no {shards.RECORD}, so it is no complete dataset: "
            f"run 'dvc checkout {data_dir.name} --force', or move it away, and run again"
        )
    record = shards.verify(data_dir)
    expected = set(shards.files_of(record))
    if missing := sorted(expected - there):
        raise ValueError(
            f"{data_dir / missing[0]} is missing: run 'dvc checkout {data_dir.name} --force' to restore it"
        )
    if strange := sorted(there - expected):
        raise ValueError(f"{data_dir / strange[0]} is no part of the dataset: move it away and run again")
    return record


def place(artifact: Path, data_dir: Path, record: DatasetRecord) -> None:
    """Make `data_dir` hold a dataset's files, as copies: a link would carry a later change into the artifact.

    Whenever this is stopped, `data_dir` is the old dataset, the new one, or not there.
    """
    unfinished, replaced = (data_dir.with_name(f".{data_dir.name}.{state}") for state in ("unfinished", "replaced"))
    for leftover in (unfinished, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name in shards.files_of(record):
        (unfinished / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(artifact / name, unfinished / name)
    if data_dir.exists():
        os.replace(data_dir, replaced)
    os.replace(unfinished, data_dir)
    shutil.rmtree(replaced, ignore_errors=True)


def ensure_repository(root: Path, home: Path) -> None:
    """Make a folder outside any DVC repository one, with a remote in `home`; tell DVC where there is no git."""
    above = [root, *root.parents]
    found = next((folder / ".dvc" for folder in above if (folder / ".dvc" / "config").exists()), None)
    if found is None:
        (root / ".dvc").mkdir(parents=True, exist_ok=True)
        replace_text(root / ".dvc" / "config", CONFIG.format(remote=home / "dvc-remote"))
    elif not any((folder / ".git").exists() for folder in above):
        text = (found / "config").read_text()
        local = found / "config.local"
        if "no_scm" not in text and not local.exists():
            replace_text(local, "[core]\n    no_scm = true\n")


def read_version(data_dir: Path) -> str:
    """DVC's hash of the folder, from its `.dvc` file; empty where there is none."""
    pointer = data_dir.with_name(f"{data_dir.name}.dvc")
    return yaml.safe_load(pointer.read_text())["outs"][0]["md5"] if pointer.exists() else ""


def dvc(root: Path, *arguments: str) -> None:
    """Run a DVC command in the repository.

    Raises:
        RuntimeError: it failed; the message is its own.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments, "--quiet"], cwd=root, capture_output=True, text=True, check=False,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
    )  # fmt: skip
    if done.returncode:
        message = " ".join((done.stderr or done.stdout).split())
        raise RuntimeError(f"dvc {' '.join(arguments)} failed in {root}: {message}")


def dvc_failed(_task, _run, state) -> bool:
    """Only DVC's own failures are tried again: a damaged folder does not heal by itself."""
    return isinstance(state.result(raise_on_failure=False), RuntimeError)


def _marker(data_dir: Path, record: DatasetRecord) -> str:
    """Names what was pushed where: another dataset or another remote is pushed again."""
    above = [data_dir.parent, *data_dir.parent.parents]
    configs = [folder / ".dvc" / name for folder in above for name in ("config", "config.local")]
    remotes = [(str(path), path.read_text()) for path in configs if path.exists()]
    return digest([record.model_dump(mode="json"), str(data_dir), remotes])[:16]

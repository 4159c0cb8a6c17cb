"""Versions of a growing dataset on a real S3 API: what is new is moved, and earlier versions can be compared."""

from __future__ import annotations

import subprocess
import sys

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.web2code.data.small import sample, write_dataset
from web2code.data import shards
from web2code.inspection.difference import compare

FIRST = [sample(i) for i in range(6)]
FURTHER = [*FIRST, *(sample(i, part="DWU") for i in (20, 21))]


def run(root, *command):
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def dvc(root, *arguments):
    return run(root, sys.executable, "-m", "dvc", *arguments)


@pytest.fixture
def store(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="datasets")
    yield client, f"http://{host}:{port}"
    server.stop()


def test_adding_a_part_moves_only_that_part(tmp_path, store, monkeypatch):
    client, endpoint = store
    root = tmp_path / "repository"
    root.mkdir()
    run(root, "git", "init", "-q")
    run(root, "git", "config", "user.email", "a@example.com")
    run(root, "git", "config", "user.name", "a")
    dvc(root, "init", "-q")
    dvc(root, "remote", "add", "-d", "store", "s3://datasets/data")
    dvc(root, "remote", "modify", "store", "endpointurl", endpoint)
    dvc(root, "remote", "modify", "store", "verify", "true")

    def publish(samples, tag):
        record = write_dataset(root / "data", samples)
        dvc(root, "add", "-q", "data")
        dvc(root, "push", "-q")
        run(root, "git", "add", "-A")
        run(root, "git", "commit", "-qm", tag)
        run(root, "git", "tag", tag)
        return record, {entry["Key"] for entry in client.list_objects_v2(Bucket="datasets")["Contents"]}

    first, before = publish(FIRST, "v1")
    second, after = publish(FURTHER, "v2")
    assert set(first.shards) < set(second.shards)
    assert len(after - before) == 4  # the part's shard, its manifest, the record, and the folder's list
    assert first.quarantine == second.quarantine

    monkeypatch.chdir(root)
    changes = {change.part: change for change in compare("data@v1", "data").changes}
    assert (changes["DWCG"].unchanged, changes["DWCG"].changed, changes["DWU"].added) == (6, 0, 2)

    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(root), str(clone))
    dvc(clone, "pull", "-q")
    assert shards.verify(clone / "data") == second
    run(clone, "git", "checkout", "-q", "v1")
    dvc(clone, "pull", "-q")
    assert shards.verify(clone / "data") == first

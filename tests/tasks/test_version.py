import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tasks import version
from tasks.reuse import take_reuse
from tests.tasks.datasets import make_rows, write_dataset

ROOT = Path(__file__).parents[2]
version_dataset = version.version_dataset.fn


def read(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Workplace:
    """A repository, a home, and datasets that a build left behind."""

    def __init__(self, folder):
        self.root, self.home = folder / "repository", folder / "home"
        self.root.mkdir(parents=True)
        self.data = self.root / "data"
        self.records = {}

    def build(self, name, seed):
        self.records[name] = write_dataset(self.home / name, make_rows(seed), fingerprint=name)

    def version(self, name):
        take_reuse()
        return version_dataset(str(self.home / name), self.data, self.home, self.records[name])

    def content(self):
        return read(self.data)

    def built(self, name):
        return read(self.home / name)


@pytest.fixture
def place(tmp_path):
    place = Workplace(tmp_path)
    place.build("first", 1)
    return place


@pytest.fixture(scope="module")
def s3():
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    name = "".join(letter for letter in tmp_path.name.lower() if letter.isalnum()) + str(os.getpid())
    client = boto3.client("s3", endpoint_url=s3)
    client.create_bucket(Bucket=name)
    return client, name


def use_s3(root, bucket, endpoint):
    """What a clone of the repository has, with its remote changed by configuration alone."""
    (root / ".dvc").mkdir(exist_ok=True)
    shutil.copy(ROOT / ".dvc" / "config", root / ".dvc" / "config")
    (root / ".dvc" / "config.local").write_text(
        "[core]\n    remote = store\n    no_scm = true\n"
        f"['remote \"store\"']\n    url = s3://{bucket}/data\n    endpointurl = {endpoint}\n    verify = true\n"
    )


def dvc(root, *arguments):
    return subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, capture_output=True, text=True)


def clone(root, folder):
    folder.mkdir()
    shutil.copytree(root / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    shutil.copy(root / "data.dvc", folder / "data.dvc")
    return folder


def test_the_folder_is_exactly_the_dataset_and_the_second_time_nothing_is_done(place):
    found = place.version("first")
    assert found.endswith(".dir")
    assert found in (place.root / "data.dvc").read_text()
    assert place.content() == place.built("first")
    assert not take_reuse()
    before = {path: path.stat().st_mtime_ns for path in place.root.rglob("*")}
    assert place.version("first") == found
    assert take_reuse() == found
    assert {path: path.stat().st_mtime_ns for path in place.root.rglob("*")} == before


def test_another_dataset_takes_the_place_and_the_first_comes_back(place):
    place.build("second", 2)
    first, second = place.version("first"), place.version("second")
    assert first != second
    assert place.content() == place.built("second")
    assert place.version("first") == first
    assert place.content() == place.built("first")


def test_a_dataset_that_was_never_added_is_kept_when_another_takes_its_place(place):
    first = place.version("first")
    place.build("second", 2)
    version.place(place.home / "second", place.data, place.records["second"])  # a run that was stopped here
    assert place.version("first") == first
    second = place.version("second")
    shutil.rmtree(place.data)
    shutil.rmtree(place.home / "dvc-remote")
    assert dvc(place.root, "checkout", "data.dvc").returncode == 0
    assert place.content() == place.built("second")
    assert second in (place.root / "data.dvc").read_text()


@pytest.mark.parametrize("pattern", ["DWCG/train-*.parquet", "manifest/WUB-*.parquet", "dataset.json"])
def test_a_missing_file_stops_the_run_and_dvc_restores_it(place, pattern):
    place.version("first")
    name = next(place.data.glob(pattern)).relative_to(place.data)
    (place.data / name).unlink()
    with pytest.raises(ValueError, match=r"dvc checkout data --force"):
        place.version("first")
    assert not (place.data / name).exists()
    assert dvc(place.root, "checkout", "data", "--force").returncode == 0
    place.version("first")
    assert take_reuse()


def test_a_damaged_shard_is_never_silently_replaced(place):
    place.build("second", 2)
    place.version("first")
    shard = next(place.data.glob("DWCG/eval-*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    damaged = place.content()
    for name in ("first", "second"):
        with pytest.raises(ValueError, match=rf"{shard.name} is corrupt"):
            place.version(name)
    assert place.content() == damaged


def test_files_of_the_user_are_left_alone(place):
    place.data.mkdir()
    (place.data / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="move it away"):
        place.version("first")
    assert (place.data / "thesis.txt").read_text() == "mine"
    (place.data / "thesis.txt").unlink()
    place.version("first")
    (place.data / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"thesis\.txt is no part of the dataset"):
        place.version("first")


def test_a_pointer_whose_remote_has_no_such_object_is_simply_made_again(place, tmp_path):
    found = place.version("first")
    fresh = Workplace(tmp_path / "fresh")
    fresh.build("second", 2)
    (fresh.root / "data.dvc").write_text((place.root / "data.dvc").read_text())
    assert fresh.version("second") != found
    assert fresh.content() == fresh.built("second")


def test_the_repositorys_own_configuration_works_without_git(place):
    (place.root / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", place.root / ".dvc" / "config")
    found = place.version("first")
    assert list((place.root / ".web2code" / "dvc-remote").rglob(found[2:].replace(".dir", "") + "*"))


def test_a_clean_clone_pulls_from_s3_what_was_pushed(place, bucket, s3, tmp_path):
    use_s3(place.root, bucket[1], s3)
    place.version("first")
    pulled = dvc(clone(place.root, tmp_path / "clone"), "pull")
    assert pulled.returncode == 0, pulled.stderr
    assert read(tmp_path / "clone" / "data") == place.built("first")


def test_an_object_that_was_changed_on_s3_is_refused(place, bucket, s3, tmp_path):
    use_s3(place.root, bucket[1], s3)
    place.version("first")
    client, name = bucket
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=name)["Contents"] if ".dir" not in entry["Key"]]
    client.put_object(Bucket=name, Key=keys[0], Body=b"not what was pushed")
    fresh = clone(place.root, tmp_path / "clone")
    assert dvc(fresh, "pull").returncode != 0
    assert b"not what was pushed" not in [path.read_bytes() for path in fresh.rglob("data/**/*") if path.is_file()]


def test_another_remote_gets_the_dataset_too(place, bucket, s3):
    place.version("first")
    use_s3(place.root, bucket[1], s3)
    place.version("first")
    assert not take_reuse()
    assert len(bucket[0].list_objects_v2(Bucket=bucket[1])["Contents"]) == len(place.built("first")) + 1


def test_a_push_that_failed_is_finished_by_the_next_run(place, bucket, s3, tmp_path):
    use_s3(place.root, "there-is-no-such-bucket", s3)
    with pytest.raises(RuntimeError, match="dvc push"):
        place.version("first")
    assert place.content() == place.built("first")
    bucket[0].create_bucket(Bucket="there-is-no-such-bucket")
    place.version("first")
    assert dvc(clone(place.root, tmp_path / "clone"), "pull").returncode == 0
    assert read(tmp_path / "clone" / "data") == place.built("first")


def test_a_run_that_is_killed_while_it_pushes_is_finished_by_the_next(place, bucket, s3, tmp_path):
    use_s3(place.root, bucket[1], s3)
    code = (
        "import sys; from pathlib import Path\n"
        "from tasks.version import version_dataset; from pathlib import Path; from web2code.data import shards\n"
        "a, d, h = map(Path, sys.argv[1:]); version_dataset.fn(str(a), d, h, shards.load_record(a))"
    )
    arguments = [str(place.home / "first"), str(place.data), str(place.home)]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, start_new_session=True)
    while not (place.root / "data.dvc").exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    place.version("first")
    assert dvc(clone(place.root, tmp_path / "clone"), "pull").returncode == 0
    assert read(tmp_path / "clone" / "data") == place.built("first")

import json
import shutil
import sys

import pytest
from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from tasks.benchmarks import ask_benchmarks
from tasks.jobs import run_job, stop_own_ray
from tasks.reuse import take_reuse
from tests.web2code.evaluation.benchmarks.public_files import wub
from tests.web2code.training.conftest import make_prepared
from web2code.config import (
    BenchmarkJob,
    BuildJob,
    DataConfig,
    DatasetRecord,
    EngineConfig,
    PagesConfig,
    SourceConfig,
    Viewport,
    Where,
    digest_tree,
)
from web2code.services import find_service, free_ports, start_ray, stop_service, wait_until_up


@pytest.fixture(scope="module")
def server():
    with prefect_test_harness(server_startup_timeout=90):
        yield


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The home and the address of a Ray that was started elsewhere."""
    elsewhere = tmp_path_factory.mktemp("cluster")
    service = start_ray(elsewhere)
    try:
        wait_until_up(elsewhere, service, "/api/version")
        yield elsewhere, service.url
    finally:
        stop_service(elsewhere, "ray")


def build_job(home, folder=""):
    name = "folder" if folder else "generated"
    pages = PagesConfig(source=name, num_train=4, num_eval=2)
    source = SourceConfig(name=name, digest="x" if folder else "", pages=pages)
    return BuildJob(
        where=Where(home=str(home), data_dir=str(home / "data"), folders={name: str(folder)}),
        data=DataConfig(sources=(source,), viewport=Viewport(width=64, height=64)),
    )


def test_a_job_runs_once_and_one_that_fails_says_why(server, tmp_path):
    """One flow, so that Ray starts once: a job, the same again, and one whose folder holds no page."""
    home, empty = tmp_path / "home", tmp_path / "empty"
    empty.mkdir()
    (empty / "a.html").write_text("<html><body></body></html>")

    @flow
    def three_jobs():
        first = run_job("build_dataset", build_job(home), DatasetRecord)
        second = run_job("build_dataset", build_job(home), DatasetRecord)
        with pytest.raises(RuntimeError) as failure:
            run_job("build_dataset", build_job(home, empty), DatasetRecord)
        return first, second, str(failure.value)

    try:
        first, second, failure = three_jobs()
        assert find_service(home, "ray") is not None
    finally:
        stop_own_ray(home)
    assert first == second
    assert len(list((home / "jobs").glob(f"dataset-{first.fingerprint}-*.json"))) == 1
    assert "ValueError" in failure
    assert "gives 0 page(s) with visible text" in failure
    assert ".log)" in failure
    submitted = [json.loads(path.read_text()) for path in (home / "jobs").glob("*.json")]
    assert sorted(job["data"]["sources"][0]["name"] for job in submitted) == ["folder", "generated"]
    assert find_service(home, "ray") is None


def test_jobs_go_to_the_cluster_that_the_environment_names_and_no_ray_is_started_here(
    server, cluster, tmp_path, monkeypatch
):
    """One that works; one where the environment is not there; and a cluster that is not."""
    home, (elsewhere, url) = tmp_path / "home", cluster

    @flow
    def one_job(folder=""):
        return run_job("build_dataset", build_job(home, folder), DatasetRecord)

    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", url)
    record = one_job()
    stop_own_ray(home)
    assert find_service(elsewhere, "ray") is not None
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(RuntimeError, match=r"failed: the cluster does not see /nowhere/python: home and "):
            one_job("other")
    assert (home / "artifacts" / "dataset" / record.fingerprint / "COMMITTED").exists()
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(RuntimeError, match=r"build_dataset: Ray at .* does not answer .*RAY_API_SERVER_ADDRESS"):
        one_job("other")
    assert not (home / "services").exists()


def benchmark_job(home, stage, files):
    model = home / "artifacts" / "stage" / stage / "model"
    return BenchmarkJob(
        where=Where(home=str(home), data_dir="", num_workers=1, folders={"wub": str(files)}), name=stage,
        checkpoint=stage, engine=EngineConfig(model=str(model)), benchmarks={"wub": digest_tree(files)},
    )  # fmt: skip


def test_a_champion_that_was_asked_as_a_candidate_is_not_asked_again(server, cluster, tmp_path, monkeypatch):
    """Two models that have the same weights."""
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", cluster[1])
    home, files = tmp_path / "home", tmp_path / "wub"
    files.mkdir()
    wub(files)
    for stage in ("one", "two"):
        shutil.copytree(make_prepared(tmp_path / stage) / "base", home / "artifacts" / "stage" / stage / "model")
    one, two = (benchmark_job(home, stage, files) for stage in ("one", "two"))
    done = []

    @flow
    def ask(*jobs):
        done.append((ask_benchmarks(*jobs), take_reuse()))

    ask(one)
    ask(two, one)
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", f"http://127.0.0.1:{free_ports(1)[0]}")
    ask(two, one)  # which needs no cluster
    (alone, first), (beside, second), (again, third) = done
    assert (first, second, third) == ("", "", beside.fingerprint)
    assert again == beside
    assert len(list((home / "jobs").glob("benchmarks-*.json"))) == 2
    assert (alone.champion, beside.candidate, beside.champion) == ("", two.fingerprint(), one.fingerprint())
    assert (alone.results["wub"].num, alone.results["wub"].difference) == (3, None)
    assert beside.results["wub"].difference.mean == 0
    assert beside.results["wub"].champion == alone.results["wub"].candidate

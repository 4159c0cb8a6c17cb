import json

import pytest
from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from tasks.jobs import run_job, stop_own_ray
from web2code.config import BuildJob, DataConfig, DatasetRecord, PagesConfig, SourceConfig, Viewport, Where
from web2code.services import find_service


@pytest.fixture(scope="module")
def server():
    with prefect_test_harness(server_startup_timeout=90):
        yield


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

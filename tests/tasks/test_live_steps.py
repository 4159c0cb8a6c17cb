"""The steps of a stage in a real MLflow store, while it trains and afterwards."""

import contextlib
import shutil
import time
from collections import Counter

import mlflow
import pytest

from tasks.registry.keys import KEY_TAG, run_key
from tasks.registry.live import LiveSteps, fail_run
from tests.tasks.test_register import RECIPE, YES, arguments, evaluation, register_model, stage
from tests.web2code.training.conftest import make_prepared
from web2code.artifacts import publish
from web2code.services import free_ports

LOSSES = {1: 3.0, 2: 2.0, 3: 1.0, 4: 0.5, 5: 0.25}


@pytest.fixture
def home(tmp_path, empty_store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def live(home, name="instruct", candidate="one"):
    return LiveSteps(home, RECIPE, candidate, name)


def progress(*steps):
    """A line of progress, with the metrics of some steps."""
    metrics = [
        {"step": step, "time": time.time(), "tokens_per_second": 100.0 * step, "source_loss/code": 1.0,
         "learning_rate": 0.1, "loss": LOSSES[step]}
        for step in steps
    ]  # fmt: skip
    return {"stage": "instruct", "done": steps[-1], "total": 5, "text": "", "metrics": metrics}


def client(home):
    return mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")


def runs(home):
    experiment = client(home).get_experiment_by_name(RECIPE.name)
    return client(home).search_runs([experiment.experiment_id]) if experiment else []


def points(home, name):
    (run,) = runs(home)
    return [(point.step, point.value) for point in client(home).get_metric_history(run.info.run_id, name)]


def wait_for(happened):
    deadline = time.monotonic() + 30
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert happened()


def test_a_person_who_opens_mlflow_during_training_sees_the_curves(home):
    with live(home) as steps:
        steps.take(progress(1, 2))
        wait_for(lambda: runs(home) and len(points(home, "instruct/loss")) == 2)
        (run,) = runs(home)
        assert run.info.status == "RUNNING"
        assert run.data.tags[KEY_TAG] == run_key(RECIPE.model_name, "one")
        assert points(home, "instruct/tokens_per_second") == [(1, 100.0), (2, 200.0)]
        steps.take(progress(3))
    assert points(home, "instruct/loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_no_step_is_there_twice_whoever_follows_the_job_and_however_often(home):
    with live(home) as steps:
        steps.take(progress(1, 2, 3))
        steps.take(progress(2, 3))  # a worker was lost, and steps were trained again
    with live(home) as steps:
        steps.take(progress(1, 2, 3))  # the flow was started again, and reads the log from its beginning
        steps.take(progress(3, 4, 5))
    with live(home, "align") as steps:
        steps.take(progress(1, 2))
    assert points(home, "instruct/loss") == list(LOSSES.items())
    assert [step for step, _ in points(home, "instruct/source_loss/code")] == list(LOSSES)
    assert points(home, "align/loss") == [(1, 3.0), (2, 2.0)]


def test_a_run_tells_that_its_training_failed_and_goes_on_with_the_next(home):
    with contextlib.suppress(RuntimeError), live(home) as steps:
        steps.take(progress(1))
        raise RuntimeError("train failed")
    assert points(home, "instruct/loss") == [(1, 3.0)]
    fail_run(home, RECIPE, "one")
    assert [run.info.status for run in runs(home)] == ["FAILED"]
    with live(home) as steps:
        steps.take(progress(1, 2))
    assert [run.info.status for run in runs(home)] == ["RUNNING"]
    assert points(home, "instruct/loss") == [(1, 3.0), (2, 2.0)]


def test_a_run_whose_evaluation_fails_does_not_stay_in_progress(home):
    with live(home) as steps:
        steps.take(progress(1))
    fail_run(home, RECIPE, "another")
    assert [run.info.status for run in runs(home)] == ["RUNNING"]
    fail_run(home, RECIPE, "one")
    assert [run.info.status for run in runs(home)] == ["FAILED"]
    client(home).set_terminated(runs(home)[0].info.run_id, "FINISHED")
    fail_run(home, RECIPE, "one")
    assert [run.info.status for run in runs(home)] == ["FINISHED"]


def test_registration_goes_on_with_the_run_and_adds_the_steps_that_it_lacks(home):
    folder = home / "artifacts" / "stage" / "one"
    make_prepared(home / "prepared")
    shutil.copytree(home / "prepared" / "base", folder / "model")
    publish(folder, str(folder), stage("one"))
    with live(home) as steps:
        steps.take(progress(1, 3))
    (before,) = runs(home)
    model = register_model(*arguments(home, "one", evaluation("e1"), YES))
    (run,) = runs(home)
    assert (run.info.run_id, run.info.status) == (before.info.run_id, "FINISHED")
    assert client(home).get_model_version(model.name, str(model.version)).run_id == run.info.run_id
    for name in ("loss", "learning_rate"):
        there = Counter(step for step, _ in points(home, f"instruct/{name}"))
        assert there == {1: 1, 2: 1, 3: 1}
    assert dict(points(home, "instruct/loss")) == {1: 3.0, 2: 2.0, 3: 1.0}
    with live(home) as steps:
        steps.take(progress(1, 2, 3))
    assert [run.info.status for run in runs(home)] == ["FINISHED"]
    assert len(points(home, "instruct/loss")) == 3


def test_a_server_that_is_down_is_told_once_and_holds_up_nothing(home, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with live(home) as steps:
        began = time.monotonic()
        for step in LOSSES:
            steps.take(progress(step))
        assert time.monotonic() - began < 0.1
        time.sleep(1)
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "does not take the steps of instruct" in warnings[0]


def test_without_a_step_nothing_is_opened(home):
    (home / "mlflow.db").unlink()
    fail_run(home, RECIPE, "one")
    with live(home) as steps:
        steps.take({"stage": "instruct", "done": 1, "total": 5, "text": ""})
    assert not (home / "mlflow.db").exists()

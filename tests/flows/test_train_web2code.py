import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import psutil
import pytest
from PIL import Image
from prefect.testing.utilities import prefect_test_harness

from flows.train_web2code import train_web2code
from tests.flows.small import SMALL, environment, start_lifecycle
from web2code.rendering.chromium import NAMES
from web2code.services import find_service

STEPS = ["dataset", "version", "validate", "prepare", "align", "instruct", "evaluate", "decide", "register", "report"]


def summary(folder):
    return json.loads((folder / "home" / "runs" / "latest" / "summary.json").read_text())


def versions(folder):
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'home' / 'mlflow.db'}")
    return client.search_model_versions("name='web2code-tiny'")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A lifecycle that ran to its end in this process, under Prefect's own test harness."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "shots").mkdir()
    Image.new("RGB", (300, 200), (30, 90, 200)).save(folder / "shots" / "blue.png")
    with pytest.MonkeyPatch.context() as patch, prefect_test_harness(server_startup_timeout=90):
        patch.chdir(folder)
        patch.setenv("WEB2CODE_HOME", str(folder / "home"))
        report = train_web2code("tiny", SMALL, screenshots=str(folder / "shots"))
        first = summary(folder)
        train_web2code("tiny", SMALL, screenshots=str(folder / "shots"))
        yield folder, Path(report), first, summary(folder)


def test_every_step_is_done_once_and_the_second_time_none(finished):
    folder, _, first, second = finished
    assert [name for name in first["seconds"] if name != "total"] == STEPS
    assert (first["status"], second["status"]) == ("completed", "completed")
    assert first["reused"] == []
    assert second["reused"] == [name for name in STEPS if name != "decide"]
    for key in ("dataset", "stages", "evaluation", "baselines", "screenshots", "decision", "model"):
        assert second[key] == first[key]
    assert len(versions(folder)) == 1
    assert find_service(folder / "home", "ray") is None


def test_the_summary_tells_what_was_asked_for(finished):
    _, _, first, _ = finished
    assert first["dataset"]["num_pages"] == 52
    assert [(stage["name"], stage["zero_stage"], stage["steps"]) for stage in first["stages"]] == [
        ("align", 2, 3), ("instruct", 3, 12),
    ]  # fmt: skip
    systems = [first["evaluation"], *first["baselines"].values()]
    assert [system["wcgb_visual"]["num"] for system in systems] == [12, 12, 12]
    assert {system["wub"]["num"] for system in systems} == {first["evaluation"]["wub"]["num"]}
    assert first["screenshots"]["candidate"]["num"] == 1
    assert first["decision"]["promoted"] == ("champion" in first["model"]["aliases"])


def test_mlflow_has_what_every_step_measured_once(finished):
    client = mlflow.MlflowClient(f"sqlite:///{finished[0] / 'home' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert run.info.status == "FINISHED"
    for stage, steps in (("align", 3), ("instruct", 12)):
        for name in ("loss", "learning_rate", "gradient_norm", "tokens_per_second", "padding_share", "memory_bytes"):
            points = client.get_metric_history(run.info.run_id, f"{stage}/{name}")
            assert sorted(point.step for point in points) == list(range(1, steps + 1)), name
    assert run.data.metrics["instruct/overall/samples_per_second"] > 0


def test_the_report_lies_beside_the_summary(finished):
    folder, report, first, _ = finished
    assert Path(first["report"]).read_text().startswith("<!doctype html>")
    assert report.parent.parent == folder / "home" / "runs"


def test_a_flow_that_is_killed_in_several_steps_goes_on_and_ends_the_same(finished, tmp_path):
    """Killed with all its processes, Ray's too; the same command in the end leaves what an undisturbed one leaves."""
    undisturbed = finished[2]
    shutil.copytree(finished[0] / "shots", tmp_path / "shots")
    for step in ("dataset", "instruct", "evaluate"):
        process = start_lifecycle(tmp_path, screenshots="shots")
        while f"{step} ..." not in (line := process.stdout.readline()):
            assert line, process.stderr.read()
        time.sleep(5)
        kill_all(process, tmp_path / "home")
        assert summary(tmp_path)["status"] == "running"
    again = start_lifecycle(tmp_path, screenshots="shots")
    output, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    result = summary(tmp_path)
    assert result["status"] == "completed"
    assert set(result["reused"]) >= {"dataset", "version", "validate", "prepare", "align", "instruct"}, output
    assert result["dataset"] == undisturbed["dataset"]
    assert result["evaluation"] == undisturbed["evaluation"]
    losses = [[stage["last_loss"] for stage in each["stages"]] for each in (result, undisturbed)]
    assert losses[0] == losses[1]
    assert len(versions(tmp_path)) == 1


def test_told_to_stop_the_command_ends_when_its_ray_has(tmp_path):
    """Whoever starts it again at once must not meet a Ray that is on its way down."""
    process = subprocess.Popen(
        [sys.executable, "-m", "web2code.cli", "run"], cwd=tmp_path, env=environment(tmp_path),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while "dataset ..." not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    while not (ray := find_service(tmp_path / "home", "ray")):
        time.sleep(0.1)
    family = [psutil.Process(ray.pid), *psutil.Process(ray.pid).children(recursive=True)]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "stopped; the same command goes on from here"
    assert not [member for member in family if member.is_running() and member.status() != psutil.STATUS_ZOMBIE]
    assert find_service(tmp_path / "home", "ray") is None


def kill_all(process, home):
    ray = find_service(home, "ray")
    family = []
    for pid in [process.pid, *([ray.pid] if ray else [])]:
        root = psutil.Process(pid)
        family += [root, *root.children(recursive=True)]
    for member in family:
        try:
            os.kill(member.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"recipe": "huge"}, "unknown recipe 'huge'"),
        ({"overrides": {"instruct.stepz": 3}}, "instruct.stepz"),
        ({"overrides": {"instruct.steps": "many"}}, "instruct.steps"),
        ({"pages": "nowhere"}, "nowhere is not a folder"),
        ({"screenshots": "nowhere"}, "nowhere is not a folder"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_before_anything_starts(tmp_path, changes, sentence):
    process = start_lifecycle(tmp_path, **changes)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("error: ")
    assert len(errors.splitlines()) == 1
    assert sentence in errors
    assert not (tmp_path / "home" / "runs").exists()


def test_without_a_browser_the_flow_says_so_and_registers_nothing(tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    for program in (entry for folder in os.environ["PATH"].split(os.pathsep) for entry in Path(folder).glob("*")):
        if program.name not in NAMES and not (tools / program.name).is_symlink():
            (tools / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    process = start_lifecycle(tmp_path)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert len(errors.splitlines()) == 1
    assert "no Chromium on PATH: install it with" in errors
    assert summary(tmp_path)["status"] == "failed"
    assert not (tmp_path / "home" / "mlflow.db").exists()

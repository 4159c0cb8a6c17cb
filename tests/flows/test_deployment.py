"""What `web2code up` starts, what `prefect deployment run` leaves there, and what a flow that was killed leaves."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import mlflow
import psutil
import pytest
from PIL import Image

from tests.flows.small import SMALL, environment, start_lifecycle, summary
from tests.web2code.evaluation.benchmarks.public_files import mme
from web2code.services import HOST, find_service, free_ports
from web2code.stack import NAMES

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


STEPS = [
    "dataset", "version", "validate", "prepare", "align", "instruct", "evaluate", "benchmarks", "decide", "register",
    "report",
]  # fmt: skip


def versions(folder):
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'home' / 'mlflow.db'}")
    return client.search_model_versions("name='web2code-tiny'")


class Place:
    """A user's copy of the repository's top level, with ports of its own."""

    def __init__(self, folder):
        self.folder, self.home = folder, folder / "home"
        shutil.copytree(ROOT / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("prefect.yaml", "prefect.toml"):
            shutil.copy(ROOT / name, folder / name)
        roles = ("PREFECT_SERVER", "MLFLOW_SERVER", "RAY_GCS", "RAY_DASHBOARD")
        self.ports = {f"WEB2CODE_{role}_PORT": str(free_ports(1)[0]) for role in roles}

    def start(self, *command):
        return subprocess.Popen(
            [str(BIN / command[0]), *command[1:]], cwd=self.folder, env={**environment(self.folder), **self.ports},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def call(self, *command, timeout=600):
        process = self.start(*command)
        output, _ = process.communicate(timeout=timeout)
        return process.returncode, output

    def ask(self, path, body=None):
        url = f"http://{HOST}:{self.ports['WEB2CODE_PREFECT_SERVER_PORT']}/api{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("up"))
    status, output = place.call("web2code", "up")
    assert status == 0, output
    try:
        yield place, output
    finally:
        place.call("web2code", "down")


@pytest.fixture(scope="module")
def finished(up):
    """What is left by the literal words, and by the same words again: the place, and both summaries."""
    place, _ = up
    (place.folder / "shots").mkdir()
    (place.folder / "mme").mkdir()
    mme(place.folder / "mme")
    Image.new("RGB", (300, 200), (30, 90, 200)).save(place.folder / "shots" / "blue.png")
    given = {
        "overrides": SMALL,
        "screenshots": str(place.folder / "shots"),
        "benchmarks": {"mme": str(place.folder / "mme")},
    }
    parameters = [word for name, value in given.items() for word in ("--param", f"{name}={json.dumps(value)}")]
    summaries = []
    for _ in range(2):
        status, output = place.call(
            "prefect", "deployment", "run", "train-web2code", "--watch", *parameters, timeout=1200
        )
        assert status == 0, output
        summaries.append(summary(place.folder))
    return place, *summaries


def test_all_services_answer_on_loopback_and_their_addresses_are_printed(up):
    place, output = up
    for name in NAMES:
        service = find_service(place.home, name)
        assert service is not None
        assert service.url in output
        assert service.url.startswith(f"http://{HOST}:")
        for port in service.ports.values():
            with socket.socket() as probe:
                probe.connect((HOST, port))


def test_nothing_listens_on_another_interface(up):
    place, _ = up
    for name in NAMES:
        service = find_service(place.home, name)
        root = psutil.Process(service.pid)
        for process in [root, *root.children(recursive=True)]:
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    assert connection.laddr.ip in (HOST, f"::ffff:{HOST}"), (name, process.cmdline())


def test_up_again_starts_nothing_new(up):
    place, _ = up
    before = {name: find_service(place.home, name) for name in NAMES}
    status, output = place.call("web2code", "up")
    assert status == 0, output
    assert {name: find_service(place.home, name) for name in NAMES} == before


def test_the_server_has_the_runs_of_the_deployment_and_their_progress(finished):
    place = finished[0]
    runs = place.ask("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
    assert len(runs) == 2
    assert all(run["deployment_id"] for run in runs)
    assert len(place.ask("/artifacts/filter", {"artifacts": {"type": {"any_": ["progress"]}}})) > 0
    assert find_service(place.home, "ray") is not None


def test_every_step_is_done_once_and_the_second_time_none(finished):
    place, first, second = finished
    assert [name for name in first["seconds"] if name != "total"] == STEPS
    assert (first["status"], second["status"]) == ("completed", "completed")
    assert first["reused"] == []
    assert second["reused"] == [name for name in STEPS if name != "decide"]
    for key in ("dataset", "stages", "evaluation", "baselines", "screenshots", "benchmarks", "decision", "model"):
        assert second[key] == first[key]
    assert len(versions(place.folder)) == 1


def test_the_summary_tells_what_was_asked_for(finished):
    _, first, _ = finished
    assert first["dataset"]["num_pages"] == 52
    assert [(stage["name"], stage["zero_stage"], stage["steps"]) for stage in first["stages"]] == [
        ("align", 2, 3), ("instruct", 3, 12),
    ]  # fmt: skip
    systems = [first["evaluation"], *first["baselines"].values()]
    assert [system["wcgb_visual"]["num"] for system in systems] == [12, 12, 12]
    assert {system["wub"]["num"] for system in systems} == {first["evaluation"]["wub"]["num"]}
    assert first["screenshots"]["candidate"]["num"] == 1
    assert (first["benchmarks"]["mme"]["figure"], first["benchmarks"]["mme"]["num"]) == ("perception", 56)
    assert first["decision"]["promoted"] == ("champion" in first["model"]["aliases"])


def test_mlflow_has_what_every_step_measured_once(finished):
    client = mlflow.MlflowClient(f"sqlite:///{finished[0].home / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert run.info.status == "FINISHED"
    for stage, steps in (("align", 3), ("instruct", 12)):
        for name in ("loss", "learning_rate", "gradient_norm", "tokens_per_second", "padding_share", "memory_bytes"):
            points = client.get_metric_history(run.info.run_id, f"{stage}/{name}")
            assert sorted(point.step for point in points) == list(range(1, steps + 1)), name
    assert 0 <= run.data.metrics["candidate/benchmarks/mme"] <= 2000
    assert run.data.metrics["instruct/overall/samples_per_second"] > 0


def test_the_report_lies_beside_the_summary(finished):
    place, first, _ = finished
    report = Path(first["report"])
    assert report.read_text().startswith("<!doctype html>")
    assert report.parent.parent == place.home / "runs"


def test_another_bare_name_is_still_refused_and_the_two_part_name_works(up):
    place, _ = up
    status, output = place.call("prefect", "deployment", "run", "another")
    assert status != 0, output
    status, output = place.call("prefect", "deployment", "inspect", "train-web2code/train-web2code")
    assert status == 0, output


def test_the_schedule_is_off_until_it_is_switched_on(up):
    place, _ = up
    deployment = place.ask("/deployments/name/train-web2code/train-web2code")
    (schedule,) = deployment["schedules"]
    assert not schedule["active"]
    late = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    assert place.ask("/flow_runs/filter", late) == []
    status, output = place.call(
        "prefect", "deployment", "schedule", "resume", "train-web2code/train-web2code", schedule["id"]
    )
    assert status == 0, output
    deadline = time.monotonic() + 90
    while not (runs := place.ask("/flow_runs/filter", late)):
        assert time.monotonic() < deadline, "no run was scheduled"
        time.sleep(1)
    place.call("prefect", "deployment", "schedule", "pause", "train-web2code/train-web2code", schedule["id"])
    assert all(run["auto_scheduled"] for run in runs)


def test_down_stops_exactly_what_was_started(up):
    place, _ = up
    family = []
    for name in NAMES:
        root = psutil.Process(find_service(place.home, name).pid)
        family += [root, *root.children(recursive=True)]
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    status, output = place.call("web2code", "down")
    assert status == 0
    assert all(name in output for name in NAMES)
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert stranger.poll() is None
    stranger.kill()
    assert place.call("web2code", "down")[1].strip() == "nothing was running"


def test_a_port_in_use_is_named_and_nothing_is_left_running(tmp_path):
    place = Place(tmp_path)
    with socket.socket() as taken:
        taken.bind((HOST, int(place.ports["WEB2CODE_MLFLOW_SERVER_PORT"])))
        taken.listen()
        status, output = place.call("web2code", "up")
    assert status == 2
    assert f"port {place.ports['WEB2CODE_MLFLOW_SERVER_PORT']} on {HOST}" in output
    assert "WEB2CODE_MLFLOW_SERVER_PORT" in output
    assert not [name for name in NAMES if find_service(place.home, name)]
    assert os.listdir(place.home / "services")


def test_a_flow_that_is_killed_in_several_steps_goes_on_and_ends_the_same(finished, tmp_path):
    """Killed with all its processes, Ray's too; the same command in the end leaves what an undisturbed one leaves."""
    place, undisturbed, _ = finished
    shutil.copytree(place.folder / "shots", tmp_path / "shots")
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
    assert "benchmarks" not in result["seconds"]
    losses = [[stage["last_loss"] for stage in each["stages"]] for each in (result, undisturbed)]
    assert losses[0] == losses[1]
    assert len(versions(tmp_path)) == 1
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

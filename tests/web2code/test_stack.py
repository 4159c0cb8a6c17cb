import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.flows.small import SMALL, environment
from web2code.services import HOST, find_service, free_port
from web2code.stack import NAMES

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


class Place:
    """A user's copy of the repository's top level, with ports of its own."""

    def __init__(self, folder):
        self.folder, self.home = folder, folder / "home"
        shutil.copytree(ROOT / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("prefect.yaml", "prefect.toml"):
            shutil.copy(ROOT / name, folder / name)
        roles = ("PREFECT_SERVER", "MLFLOW_SERVER", "RAY_GCS", "RAY_DASHBOARD")
        self.ports = {f"WEB2CODE_{role}_PORT": str(free_port()) for role in roles}

    def start(self, *command):
        return subprocess.Popen(
            [str(BIN / command[0]), *command[1:]], cwd=self.folder, env={**environment(self.folder), **self.ports},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def call(self, *command, timeout=300):
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


def test_the_literal_words_run_the_lifecycle_to_its_end(up):
    place, _ = up
    status, output = place.call(
        "prefect", "deployment", "run", "train-web2code", "--watch", "--param", f"overrides={json.dumps(SMALL)}",
        timeout=400,
    )  # fmt: skip
    assert status == 0, output
    summary = json.loads((place.home / "runs" / "latest" / "summary.json").read_text())
    assert summary["status"] == "completed"
    (run,) = place.ask("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
    assert run["deployment_id"]
    assert len(place.ask("/artifacts/filter", {"artifacts": {"type": {"any_": ["progress"]}}})) > 0
    assert find_service(place.home, "ray") is not None


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

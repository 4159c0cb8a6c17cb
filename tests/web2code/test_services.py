import os
import shutil
import socket
import subprocess
import sys
import time

import psutil
import pytest

from web2code.services import (
    HOST,
    find_service,
    free_ports,
    ray_environment,
    ray_folder,
    start_ray,
    start_service,
    stop_service,
    wait_until_up,
)

# A server with a child of its own, as Ray and Prefect have them.
SERVER = """
import http.server, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def start(home, port):
    return start_service(
        home, "files", [sys.executable, "-c", SERVER, str(port)], f"http://{HOST}:{port}", {"server": port}, {}
    )


def test_a_service_is_found_again_and_stopped_with_its_children_and_nothing_else(tmp_path):
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        service = start(tmp_path, free_ports(1)[0])
        wait_until_up(tmp_path, service)
        assert find_service(tmp_path, "files") == service
        children = psutil.Process(service.pid).children()
        assert children
        assert stop_service(tmp_path, "files")
        assert find_service(tmp_path, "files") is None
        assert not [process for process in children if process.is_running() and process.status() != "zombie"]
        assert stranger.poll() is None
        assert not stop_service(tmp_path, "files")
    finally:
        stranger.kill()


def test_a_port_in_use_is_named_with_the_way_round_it(tmp_path):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"port {port} .* is in use: .* WEB2CODE_FILES_SERVER_PORT"):
            start(tmp_path, port)
    assert find_service(tmp_path, "files") is None


def test_ports_that_are_found_together_differ():
    assert len(set(free_ports(500))) == 500


def test_a_service_that_ends_at_once_is_told_from_one_that_is_slow(tmp_path):
    service = start_service(tmp_path, "broken", [sys.executable, "-c", "raise SystemExit(3)"], "http://x", {}, {})
    with pytest.raises(RuntimeError, match=r"broken ended while it was starting: see .*broken\.log"):
        wait_until_up(tmp_path, service)


def test_a_process_that_took_over_the_id_is_not_the_service(tmp_path):
    service = start(tmp_path, free_ports(1)[0])
    path = tmp_path / "services" / "files.json"
    text = path.read_text()
    path.write_text(text.replace(str(service.created), str(service.created - 100)))
    assert find_service(tmp_path, "files") is None
    assert not stop_service(tmp_path, "files")
    assert psutil.Process(service.pid).is_running()
    path.write_text(text)
    assert stop_service(tmp_path, "files")


def test_the_token_is_made_once_and_for_its_owner_alone(tmp_path):
    first, second = ray_environment(tmp_path), ray_environment(tmp_path)
    assert first == second
    token = tmp_path / "services" / "ray.token"
    assert token.stat().st_mode & 0o077 == 0
    assert len(token.read_text()) == 64
    assert time.time() - token.stat().st_mtime < 60


JOB = """
import sys, time
from ray.job_submission import JobSubmissionClient
client = JobSubmissionClient(sys.argv[1])
where = "import ray; ray.init(); print(ray.get_runtime_context().gcs_address)"
name = client.submit_job(entrypoint=f"{sys.executable} -c '{where}'")
while not client.get_job_status(name).is_terminal():
    time.sleep(0.2)
print(client.get_job_logs(name))
"""


def test_a_job_runs_on_the_ray_that_it_was_given_to_though_another_was_started_since(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    homes = tmp_path / "one", tmp_path / "other"
    try:
        services = [start_ray(home) for home in homes]
        for home, service in zip(homes, services, strict=True):
            wait_until_up(home, service, "/api/version")
        for home, service in zip(homes, services, strict=True):
            told = subprocess.run(
                [sys.executable, "-c", JOB, service.url], env={**os.environ, **ray_environment(home)},
                capture_output=True, text=True, timeout=120,
            )  # fmt: skip
            assert f"{HOST}:{service.ports['gcs']}" in told.stdout.split(), told.stdout + told.stderr
            assert (home / "services" / "ray" / "session_latest").is_dir()
    finally:
        for home in homes:
            stop_service(home, "ray")
            shutil.rmtree(ray_folder(home))

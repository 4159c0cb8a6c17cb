"""What a flow says where it is stopped, asked for what is not there, or has no browser."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.flows.small import environment, start_lifecycle, summary
from web2code.rendering.chromium import NAMES
from web2code.services import find_service


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


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"recipe": "huge"}, "unknown recipe 'huge'"),
        ({"overrides": {"instruct.stepz": 3}}, "instruct.stepz"),
        ({"overrides": {"instruct.steps": "many"}}, "instruct.steps"),
        ({"pages": "nowhere"}, "nowhere is not a folder"),
        ({"screenshots": "nowhere"}, "nowhere is not a folder"),
        ({"benchmarks": {"mme": "nowhere"}}, "mme: nowhere is not there: make it, and fetch"),
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

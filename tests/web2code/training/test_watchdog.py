import subprocess
import sys

import pytest

from web2code.training.watchdog import Phase, stalled

WORK = """
import ctypes, sys, time
from pathlib import Path
from web2code.training.watchdog import Phase, Watchdog

def stuck():
    {stuck}

def train_stage():
    with Watchdog(Path({folder!r}), rank=2, seconds=60) as done:
        done.begin(1)
    with Watchdog(Path({folder!r}), rank=3, seconds=0.5) as watchdog:
        for step in range(1, 5):
            watchdog.begin(step)
            if step == 1:
                time.sleep(1.5)  # compiles
        watchdog.begin(step, Phase({phase!r}))
        stuck()
    print("done")
    time.sleep(1.5)

train_stage()
"""


def run(folder, stuck, phase=Phase.STEP):
    code = WORK.format(folder=str(folder), stuck=stuck, phase=str(phase))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("phase", Phase, ids=lambda phase: phase.name)
def test_a_worker_that_hangs_is_ended_and_says_where(tmp_path, phase):
    assert run(tmp_path, "time.sleep(3600)", phase).returncode == 1
    assert_told(tmp_path, phase)


def test_a_worker_that_keeps_python_from_running_is_ended(tmp_path):
    assert run(tmp_path, "ctypes.PyDLL(None).sleep(3600)").returncode == 1
    assert_told(tmp_path, Phase.STEP)


def assert_told(folder, phase):
    (sentence,) = stalled(folder)  # nothing of the worker that was done
    assert "rank 3 " in sentence
    assert f" {phase} 4; it hung in stuck (<string>, line 7)" in sentence
    assert str(folder / "rank-3.txt") in sentence


def test_neither_a_first_step_nor_a_checkpoint_is_taken_for_a_hang(tmp_path):
    done = run(tmp_path, "time.sleep(1.5)", Phase.CHECKPOINT)
    assert done.stdout == "done\n"
    assert done.returncode == 0, done.stderr
    assert stalled(tmp_path) == []

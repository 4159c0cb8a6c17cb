import subprocess
import sys
import time

import pytest

from web2code.training.watchdog import stalled

WORK = """
import ctypes, sys, time
from pathlib import Path
from web2code.training.watchdog import Watchdog

def stuck():
    {stuck}

def train_stage():
    with Watchdog(Path({folder!r}), rank=3, seconds=0.5) as watchdog:
        for step in range(1, 5):
            watchdog.begin(step)
            if step == 1:
                time.sleep(1.5)  # compiles
            if step == 4:
                stuck()
            watchdog.pause()
            if step == 2:
                time.sleep(1.5)  # writes a checkpoint
    print("done")
    time.sleep(1.5)

train_stage()
"""


def run(folder, stuck="pass"):
    code = WORK.format(folder=str(folder), stuck=stuck)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "stuck", ["time.sleep(3600)", "ctypes.PyDLL(None).sleep(3600)"], ids=["waits", "keeps Python from running"]
)
def test_a_worker_that_hangs_is_ended_and_says_where(tmp_path, stuck):
    began = time.monotonic()
    assert run(tmp_path, stuck).returncode == 1
    assert time.monotonic() - began < 45
    (sentence,) = stalled(tmp_path)
    assert "rank 3 " in sentence
    assert "in step 4; it hung in stuck (<string>, line 7)" in sentence
    assert str(tmp_path / "rank-3.txt") in sentence


def test_neither_a_first_step_nor_a_checkpoint_is_taken_for_a_hang(tmp_path):
    done = run(tmp_path)
    assert done.stdout == "done\n"
    assert done.returncode == 0, done.stderr
    assert stalled(tmp_path) == []

"""What is to be checked on a GPU, run on the CPU at toy sizes."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.test_train_step import ABSENT

ROOT = Path(__file__).parents[2]
CHECK = f"""
import sys
sys.modules |= dict.fromkeys({ABSENT})
from benchmarks import check_device
check_device.TOLERANCE = float(sys.argv.pop())
check_device.main()
"""


@pytest.mark.parametrize(("tolerance", "failed"), [(0.05, []), (0.0, ["gradients_agree"])])
def test_a_check_that_fails_is_told_and_is_an_error(tolerance, failed):
    arguments = [sys.executable, "-c", CHECK, "--device", "cpu", str(tolerance)]
    done = subprocess.run(arguments, cwd=ROOT, text=True, capture_output=True, check=False)
    lines = [line.split(": ")[0].split() for line in done.stdout.splitlines()]
    checks = ("samples_stay_apart", "gradients_agree", "copies_are_of_their_time")
    assert lines[:3] == [["FAIL" if name in failed else "pass", name] for name in checks], done.stderr
    assert lines[3:] == [["memory"], ["products"]]
    assert done.returncode == bool(failed)

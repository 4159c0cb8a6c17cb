"""Runs a program of this project as a process of its own, and shows what it says."""

from __future__ import annotations

import os
import subprocess
import sys

from web2code.mistakes import fail
from web2code.plan import home_folder
from web2code.progress import MARK
from web2code.progress_bars import ProgressBars
from web2code.services import HOST, QUIET, find_service, ray_environment


def run_program(module: str, job: str) -> str:
    """Run a program of this project on a job; returns its output.

    It runs on the Ray of `web2code up`, or the one that `RAY_ADDRESS` names, or one of its own, without a dashboard.

    Its progress becomes bars, its other lines are shown, and where it fails its last line becomes one sentence.
    """
    home = home_folder()
    argument = job
    if module.startswith("ray_jobs."):
        file = home / "jobs" / f"{module.removeprefix('ray_jobs.')}-{os.getpid()}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(job)
        argument = str(file)
    log = home / "jobs" / f"{module}-{os.getpid()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    service = find_service(home, "ray")
    address = f"{HOST}:{service.ports['gcs']}" if service else os.environ.get("RAY_ADDRESS", "local")
    # Another cluster has a token of its own, which the environment gives.
    ray = ray_environment(home) if service or address == "local" else QUIET
    environment = {
        **os.environ, **ray, "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false", "RAY_ADDRESS": address,
    }  # fmt: skip
    lines = []
    with (
        ProgressBars() as bars,
        open(log, "w") as errors,
        subprocess.Popen(
            [sys.executable, "-P", "-m", module, argument],  # what lies in the current folder is no library
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if MARK in line:
                bars.show(line)
            elif line.strip():
                lines.append(line.rstrip())
                if not line.startswith("{"):
                    bars.bars.console.print(line.rstrip(), highlight=False, markup=False)
    if process.returncode:
        errors_seen = [line for line in log.read_text().splitlines() if "Error: " in line]
        reason = errors_seen[-1].split("Error: ", 1)[1] if errors_seen else f"{module} ended with {process.returncode}"
        fail(f"{reason} (log: {log})")
    return "\n".join(lines)

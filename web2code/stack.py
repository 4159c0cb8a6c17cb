"""The local stack as a whole: Ray, Prefect with a worker, MLflow, and the deployments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from web2code.services import (
    Service,
    chosen_port,
    find_service,
    named_cluster,
    prefect_environment,
    start_mlflow,
    start_prefect,
    start_ray,
    start_worker,
    stop_service,
    wait_until_up,
)

POOL = "web2code"
# The order in which they stop: what uses another goes first.
NAMES = ("prefect-worker", "prefect", "mlflow", "ray")


def bring_up(home: Path) -> list[Service]:
    """Start what is not running, wait until all answer, deploy; on a failure nothing that was started here is left.

    No Ray is started where the environment names a cluster: the worker's flows submit their jobs there.

    Raises:
        ValueError: a port is in use.
        RuntimeError: a service did not start, or the deployment failed.
    """
    started: list[str] = []

    def ensure(name: str, start) -> Service:
        if running := find_service(home, name):
            return running
        started.append(name)
        return start()

    try:
        prefect = ensure("prefect", lambda: start_prefect(home))
        ports = chosen_port("ray", "gcs", 6379), chosen_port("ray", "dashboard", 8265)
        ray = [] if named_cluster() else [ensure("ray", lambda: start_ray(home, *ports))]
        mlflow = ensure("mlflow", lambda: start_mlflow(home))
        wait_until_up(home, prefect, "/api/health")
        deploy(home, prefect)
        worker = ensure("prefect-worker", lambda: start_worker(home, prefect, POOL))
        for service in ray:
            wait_until_up(home, service, "/api/version")
        wait_until_up(home, mlflow, "/health")
    except BaseException:
        for name in NAMES:
            if name in started:
                stop_service(home, name)
        raise
    return [prefect, worker, *ray, mlflow]


def bring_down(home: Path) -> list[str]:
    """Stop what runs, by process id; returns the names."""
    return [name for name in NAMES if stop_service(home, name)]


def deploy(home: Path, prefect: Service) -> None:
    """Create the work pool and the deployments of prefect.yaml.

    Raises:
        RuntimeError: Prefect refused; the message is its own.
    """
    environment = {**os.environ, **prefect_environment(home), "PREFECT_API_URL": f"{prefect.url}/api"}
    for arguments in (
        ["work-pool", "create", POOL, "--type", "process", "--overwrite"],
        ["--no-prompt", "deploy", "--all"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            message = " ".join((done.stderr or done.stdout).split())[-500:]
            raise RuntimeError(f"prefect {' '.join(arguments)} failed: {message}")

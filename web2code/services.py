"""Local services (Ray, Prefect, MLflow) as processes of their own: started, found again, and stopped by process id."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from web2code.artifacts import replace_text

START_SECONDS = 90.0
STOP_SECONDS = 3.0
HOST = "127.0.0.1"
# One machine: Ray listens on loopback alone (its default on Windows and macOS), and Ray Train asks its workers how they
# are more often, and does not watch for machines that are about to be taken away.
ONE_MACHINE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


# What Ray's own job client reads, in this order.
CLUSTER_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
# Of every process that talks to some Ray.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


@dataclass(frozen=True)
class Service:
    """A process that was started here. `created` tells it from a later process with the same id."""

    name: str
    pid: int
    created: float
    url: str
    ports: dict[str, int]


def find_service(home: Path, name: str) -> Service | None:
    """The running service called `name`, or None."""
    path = _state(home, name)
    if not path.exists():
        return None
    service = Service(**json.loads(path.read_text()))
    try:
        process = psutil.Process(service.pid)
    except psutil.NoSuchProcess:
        return None
    return service if _is_alive(process) and abs(process.create_time() - service.created) < 1.0 else None


def start_service(
    home: Path, name: str, command: list[str], url: str, ports: dict[str, int], environment: dict[str, str]
) -> Service:
    """Start a process in a session of its own; its output goes to `<home>/services/<name>.log`.

    Raises:
        ValueError: one of its ports is in use.
    """
    for role, port in ports.items():
        if not port_is_free(port):
            raise ValueError(
                f"port {port} on {HOST}, for {name}'s {role}, is in use: stop what listens there, "
                f"or choose another with {port_variable(name, role)}"
            )
    folder = home / "services"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, **environment},
        )  # fmt: skip
    service = Service(name, process.pid, psutil.Process(process.pid).create_time(), url, ports)
    replace_text(_state(home, name), json.dumps(asdict(service)))
    return service


def wait_until_up(home: Path, service: Service, path: str = "") -> None:
    """Return when the service answers over HTTP, whatever it says.

    Raises:
        RuntimeError: it ended, or did not answer in time; the message names its log.
    """
    log = home / "services" / f"{service.name}.log"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if find_service(home, service.name) is None:
            raise RuntimeError(f"{service.name} ended while it was starting: see {log}")
        try:
            urllib.request.urlopen(service.url + path, timeout=2)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{service.name} did not answer within {START_SECONDS:.0f} s: see {log}")


def stop_service(home: Path, name: str) -> bool:
    """End the service and all that it started; returns whether it was running."""
    service = find_service(home, name)
    if service:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(service.pid)
            family = [root, *root.children(recursive=True)]
            _end(family)
    _state(home, name).unlink(missing_ok=True)
    return service is not None


def _end(processes: list[psutil.Process]) -> None:
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(process)
        deadline = time.monotonic() + STOP_SECONDS
        while (processes := [process for process in processes if _is_alive(process)]) and time.monotonic() < deadline:
            time.sleep(0.05)


def _is_alive(process: psutil.Process) -> bool:
    # A child of this process that has ended stays a zombie until it is waited for.
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def port_is_free(port: int) -> bool:
    """Whether nothing listens on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            return True
        except OSError:
            return False


def free_ports(num: int) -> list[int]:
    """Loopback ports that nothing listens on now, no two the same: each is held until all are found."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(num)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]


def port_variable(name: str, role: str) -> str:
    """The environment variable that chooses a service's port."""
    return f"WEB2CODE_{name}_{role}_PORT".upper().replace(" ", "_")


def chosen_port(name: str, role: str, default: int) -> int:
    """The port from the environment, or the usual one."""
    return int(os.environ.get(port_variable(name, role), default))


def ray_environment(home: Path) -> dict[str, str]:
    """What a process needs to talk to this home's Ray: token authentication, and no telemetry."""
    token = home / "services" / "ray.token"
    if not token.exists():
        token.parent.mkdir(parents=True, exist_ok=True)
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        **QUIET,
    }


def named_cluster() -> str:
    """The address of a cluster that the environment names, as it does for `ray job submit`; empty where it does not."""
    found = (os.environ.get(name, "") for name in CLUSTER_VARIABLES)
    return next((address for address in found if address not in ("", "local")), "")


def ray_folder(home: Path) -> Path:
    """Where this home's Ray has its sockets and logs; `services/ray` leads there.

    Ray sends a job to the cluster that was started last in the same folder: two homes on one machine need two. It is
    not in the home, whose path may be too long for sockets.
    """
    name = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]
    folder, link = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / f"ray-{name}", home / "services" / "ray"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink() or link.readlink() != folder:
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
    return folder


def start_ray(home: Path, gcs_port: int | None = None, dashboard_port: int | None = None) -> Service:
    """Start a Ray head on loopback; free ports unless some are given. It may still be starting when this returns."""
    gcs, dashboard, client, agent = free_ports(4)
    gcs, dashboard = gcs_port or gcs, dashboard_port or dashboard
    programs = Path(sys.executable).parent
    # What builds kernels on GPUs looks for `ninja` there.
    path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    command = [
        str(programs / "ray"), "start", "--head", "--block", "--disable-usage-stats",
        f"--node-ip-address={HOST}", f"--port={gcs}", f"--dashboard-host={HOST}", f"--dashboard-port={dashboard}",
        f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}",
        "--object-store-memory=1000000000", f"--temp-dir={ray_folder(home)}",
    ]  # fmt: skip
    return start_service(
        home, "ray", command, f"http://{HOST}:{dashboard}", {"gcs": gcs, "dashboard": dashboard},
        {**ray_environment(home), **ONE_MACHINE, "PATH": path},
    )  # fmt: skip


def start_mlflow(home: Path) -> Service:
    """Start an MLflow server on this home's store."""
    port = chosen_port("mlflow", "server", 5000)
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
        "--backend-store-uri", mlflow_store(home), "--artifacts-destination", str(home / "mlartifacts"),
    ]  # fmt: skip
    return start_service(home, "mlflow", command, f"http://{HOST}:{port}", {"server": port}, {})


def start_prefect(home: Path) -> Service:
    """Start a Prefect server whose database lies in this home."""
    port = chosen_port("prefect", "server", 4200)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    return start_service(home, "prefect", command, f"http://{HOST}:{port}", {"server": port}, prefect_environment(home))


def start_worker(home: Path, prefect: Service, pool: str) -> Service:
    """Start a process worker of a Prefect server."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    environment = {**prefect_environment(home), "PREFECT_API_URL": f"{prefect.url}/api"}
    return start_service(home, "prefect-worker", command, prefect.url, {}, environment)


def prefect_environment(home: Path) -> dict[str, str]:
    """Prefect's state in this home, whose folder is made, and no telemetry."""
    state = home / "prefect"
    state.mkdir(parents=True, exist_ok=True)
    return {
        "PREFECT_HOME": str(state),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "WEB2CODE_HOME": str(home),
    }


def mlflow_store(home: Path) -> str:
    """The tracking store: `$MLFLOW_TRACKING_URI`, or SQLite in this home."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"


def _state(home: Path, name: str) -> Path:
    return home / "services" / f"{name}.json"

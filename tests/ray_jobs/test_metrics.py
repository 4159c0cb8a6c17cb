"""What a Prometheus server finds where Ray's agent exports."""

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request

import pytest
import ray

from ray_jobs.metrics import StepGauges
from web2code.services import free_ports

METRICS = {"loss": 1.25, "tokens_per_second": 4096.0, "source_loss/code": 0.75, "source_loss/question": 2.5}


@ray.remote(num_cpus=0)
class Worker:
    """Stands for the worker that shows its steps; metrics are exported as long as it lives."""

    def train(self, job):
        gauges = StepGauges("instruct", job)
        gauges.show(1, 10, METRICS | {"loss": 9.0})
        gauges.show(2, 10, METRICS)


@pytest.fixture(scope="module")
def exported(local_ray):
    """The address of Ray's agent, and its page some time after the gauges were set."""
    worker = Worker.remote()
    ray.get(worker.train.remote("0123"))
    node = ray.nodes()[0]
    address = f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}"
    deadline = time.monotonic() + 60
    page = ""
    while "ray_web2code_train_source_loss{" not in page and time.monotonic() < deadline:
        time.sleep(0.5)
        page = urllib.request.urlopen(f"http://{address}/metrics", timeout=5).read().decode()
    time.sleep(3)  # a step that takes longer than Ray keeps what is not told again
    yield address, urllib.request.urlopen(f"http://{address}/metrics", timeout=5).read().decode()
    ray.kill(worker)


def test_rays_agent_exports_the_newest_step_with_stage_and_job(exported):
    _, page = exported
    found = {}
    for line in page.splitlines():
        if line.startswith("ray_web2code_train_"):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            assert (labels["stage"], labels["job"]) == ("instruct", "0123")
            found[line.partition("{")[0].removeprefix("ray_web2code_train_"), labels.get("source", "")] = float(
                line.rpartition(" ")[2]
            )
    expected = {("step", ""): 2.0, ("steps", ""): 10.0}
    expected |= {(*name.partition("/")[::2],): value for name, value in METRICS.items()}
    assert found == expected


def test_a_prometheus_server_answers_a_query_for_them(exported, tmp_path):
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not installed")
    port = free_ports(1)[0]
    targets = [{"job_name": "ray", "static_configs": [{"targets": [exported[0]]}]}]
    (tmp_path / "prometheus.yml").write_text(
        json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": targets})
    )
    command = ["prometheus", "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}"]
    query = urllib.parse.quote('ray_web2code_train_source_loss{source="code"}')
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as server:
        try:
            answer = []
            deadline = time.monotonic() + 30
            while not answer and time.monotonic() < deadline:
                time.sleep(0.5)
                try:
                    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={query}", timeout=5)
                    answer = json.load(page)["data"]["result"]
                except OSError:
                    continue
        finally:
            server.terminate()
    assert [float(series["value"][1]) for series in answer] == [0.75]

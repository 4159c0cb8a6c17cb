"""Which package may import what, as the README's table says."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "web2code": {"prefect", "ray", "mlflow", "dvc", "great_expectations", "flows", "tasks", "ray_jobs"},
    "ray_jobs": {"prefect", "flows", "tasks"},
    "tasks": {"torch", "transformers", "deepspeed", "ray_jobs", "flows"},
    "flows": {"torch", "transformers", "deepspeed", "ray", "mlflow", "dvc", "great_expectations", "ray_jobs"},
}


@cache
def imports(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_package_reaches_over_its_layer(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    crossings = {(str(path.relative_to(ROOT)), name) for path in files for name in imports(path)}
    assert not {(path, name) for path, name in crossings if name in FORBIDDEN[package]}


def test_a_worker_that_loads_the_flow_carries_no_gpu_stack():
    code = (
        "import sys, pkgutil, flows, tasks\n"
        "for package in (flows, tasks):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if not module.name.endswith(('.__main__', '.tracking')): __import__(module.name)\n"  # itself MLflow's
        "print(sorted({'torch', 'transformers', 'deepspeed', 'ray', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"

"""Which package may import what, as the README's table says."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "web2code": {"prefect", "ray", "mlflow", "dvc", "great_expectations", "flows", "tasks", "ray_jobs"},
    "ray_jobs": {"prefect", "flows", "tasks"},
    "tasks": {"torch", "transformers", "deepspeed", "ray_jobs", "flows"},
    "flows": {"torch", "transformers", "deepspeed", "ray", "mlflow", "dvc", "great_expectations", "ray_jobs"},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


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
        "    for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):\n"
        "        if not module.name.endswith('__main__'): __import__(module.name)\n"
        "print(sorted({'torch', 'transformers', 'deepspeed', 'ray', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"

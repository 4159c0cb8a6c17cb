"""What is set up: by make, from locks that hold all that is imported, in a folder where git passes over outputs."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.test_layers import imports

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PYTHONS = [f"3.{minor}" for minor in range(30) if SpecifierSet(PROJECT["requires-python"]).contains(f"3.{minor}")]
# Where a module is not called as its distribution is.
CALLED = {"PIL": "pillow", "cv2": "opencv-python-headless", "yaml": "pyyaml"}
LIBRARY = ("web2code", "flows", "tasks", "ray_jobs")


def declared(*extras):
    lines = PROJECT["dependencies"] + [line for extra in extras for line in EXTRAS[extra]]
    return {canonicalize_name(Requirement(line).name) for line in lines}


@pytest.mark.parametrize(("packages", "known"), [
    (LIBRARY, declared("qlora")), (("benchmarks", "tests"), declared(*EXTRAS)),
])  # fmt: skip
def test_all_that_is_imported_is_declared(packages, known):
    own = {*sys.stdlib_module_names, *LIBRARY, "benchmarks", "tests", "vllm"}  # vLLM has an environment of its own
    found = {name for package in packages for path in (ROOT / package).rglob("*.py") for name in imports(path)} - own
    assert {canonicalize_name(CALLED.get(name, name)) for name in found} - known == set()


@cache
def requirements_of(name):
    """Of what is installed: what only another Python needs is not."""
    try:
        return [Requirement(line) for line in importlib.metadata.requires(name) or []]
    except importlib.metadata.PackageNotFoundError:
        return []


@cache
def locks():
    lines = "".join((ROOT / "requirements" / name).read_text() for name in ("base.txt", "torch-cpu.txt")).splitlines()
    return [Requirement(line.rstrip(" \\")) for line in lines if line[:1].isalnum()]


@pytest.mark.parametrize("python", PYTHONS)
def test_what_a_python_needs_is_locked_for_it(python):
    system = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0"}
    locked = {canonicalize_name(one.name): one for one in locks() if not one.marker or one.marker.evaluate(system)}
    lines = PROJECT["dependencies"] + EXTRAS["qlora"] + EXTRAS["dev"]
    wanted, seen = [Requirement(line) for line in lines], set()
    while wanted:
        one = wanted.pop()
        name = canonicalize_name(one.name)
        assert name in locked, one
        assert one.specifier.contains(str(locked[name].specifier).removeprefix("=="), prereleases=True), one
        for extra in {"", *one.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            wanted += [
                each
                for each in requirements_of(name)
                if not each.marker or each.marker.evaluate({**system, "extra": extra})
            ]


def make_says(folder, text, path):
    """What a variable is to make, with these tools alone."""
    show = f"--eval=show:\n\t@echo {text}"
    done = subprocess.run(
        [shutil.which("make"), "-s", show, "show"], cwd=folder, env={"PATH": str(path)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def tools(tmp_path):
    """A folder of the programs that make needs to read the Makefile and say something."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("cat", "sha256sum", "cut", "echo"):
        (folder / name).symlink_to(shutil.which(name))
    return folder


def test_deepspeed_is_told_to_use_processors_only_where_there_is_no_gpu(tools):
    text = "$${DS_ACCELERATOR-unset}"
    assert make_says(ROOT, text, tools) == "cpu"
    (tools / "nvidia-smi").write_text("#!/bin/sh\n")
    (tools / "nvidia-smi").chmod(0o755)
    assert make_says(ROOT, text, tools) == "unset"


def test_an_environment_is_set_up_again_where_the_project_has_changed(tools, tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements").mkdir()
    said = []
    for name in ("pyproject.toml", "requirements/base.txt"):
        for text in ("one", "another"):
            (tmp_path / name).write_text(text)
            said.append(make_says(tmp_path, "$(STAMP)", tools))
    assert len(set(said)) == 4


def test_vllm_is_not_installed_for_a_python_that_it_is_not_locked_for(tmp_path):
    done = subprocess.run(
        ["sh", "requirements/vllm.sh", str(tmp_path / "vllm")], cwd=ROOT, env={"PYTHON": "false"}, capture_output=True,
        text=True,
    )  # fmt: skip
    assert (done.returncode, "locked for Python 3.11 alone" in done.stderr) == (1, True)
    assert not (tmp_path / "vllm").exists()


def test_git_passes_over_what_the_examples_read_and_write():
    texts = [path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    named = {name for text in texts for name in re.findall(r" --(?:out|data) ([a-z_/]+)", text)}
    assert {"dataset", "results/mine", "benchmark_files"} <= named
    paths = sorted({f"{name}/file" for name in (*named, "crystalchat", "served")} | {"votes.jsonl", "leaderboard/a"})
    done = subprocess.run(["git", "check-ignore", *paths], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == paths

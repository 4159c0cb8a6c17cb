"""The commands `web2code data ...` as a user types them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.web2code.data import layouts
from tests.web2code.data.small import sample, write_dataset
from web2code.config import digest_tree

NOWHERE = "http://127.0.0.1:9/v1"


def web2code(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    ours = ("RAY_", "PREFECT_", "WEB2CODE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-m", "web2code.cli", "data", *arguments], cwd=folder, text=True, capture_output=True,
        env={**kept, "WEB2CODE_HOME": str(folder / "home"), "COLUMNS": "160"},
    )  # fmt: skip


def test_from_raw_data_to_a_verdict_and_a_page(tmp_path):
    layouts.write_web2code(tmp_path / "raw")
    options = ["--source", "web2code=raw", "--source", "written", "--max-samples", "40", "--viewport", "128x96"]
    built = web2code(tmp_path, "build", *options, "--part", "DWCG", "--part", "DWU", "--out", "data")
    assert built.returncode == 0, built.stderr
    assert "DWCG: 41 samples" in built.stdout
    assert "471.8±162.3" in built.stdout
    refused = web2code(tmp_path, "validate", "data", "--max-quarantined", "0")
    assert refused.returncode == 2
    assert "the dataset was refused" in refused.stderr
    assert refused.stderr.count("\n") == 1
    judged = web2code(tmp_path, "validate", "data", "--max-quarantined", "0.1")
    assert judged.returncode == 0, judged.stderr
    assert "no_marker_in_answer" in judged.stdout
    shown = web2code(tmp_path, "preview", "data")
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "data-preview.html").stat().st_size > 10_000


def test_a_dry_run_counts_and_makes_nothing(tmp_path):
    options = ["--source", "written", "--max-samples", "50", "--writer-model", "m", "--writer-url", NOWHERE]
    counted = web2code(tmp_path, "build", *options, "--input-price", "1", "--output-price", "2", "--dry-run")
    assert counted.returncode == 0, counted.stderr
    assert "writer: 50 requests, 0 from cache" in counted.stdout
    assert not (tmp_path / "dataset").exists()


def test_two_versions_are_compared(tmp_path):
    write_dataset(tmp_path / "old", [sample(i) for i in range(4)])
    write_dataset(tmp_path / "new", [sample(0), sample(1, licence="CC0-1.0"), *(sample(i, part="DWU") for i in (7, 8))])
    compared = web2code(tmp_path, "diff", "old", "new")
    assert compared.returncode == 0, compared.stderr
    for line in ("~ s1 (licence)", "- s2", "+ s7"):
        assert line in compared.stdout


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["build", "--source", "nothing"], "unknown source 'nothing': choose one of"),
    (["build", "--source", "websight"], "source 'websight' is read from a folder: write --source websight=FOLDER"),
    (["build", "--source", "websight=gone"], "gone is no folder"),
    (["build", "--source", "written", "--mixture", "most"], "unknown mixture 'most'"),
    (["build", "--source", "written", "--part", "WUB"], "no source given here has part 'WUB'"),
    (["build", "--source", "written", "--viewport", "wide"], "invalid literal"),
    (["validate", "gone"], "is missing"),
    (["stats", "gone"], "is missing"),
    (["preview", "gone"], "is missing"),
    (["diff", "gone", "gone"], "holds no dataset.json"),
    (["select", "gone", "--model", "m", "--percentiles", "ten"], "could not convert"),
])  # fmt: skip
def test_a_mistake_is_one_sentence(tmp_path, arguments, sentence):
    done = web2code(tmp_path, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_the_digest_of_a_large_folder_sees_names_and_every_byte(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"x" * 200_000)
    found = [digest_tree(tmp_path)]
    for place in (0, 100_000, 199_999):
        (tmp_path / "a.bin").write_bytes(b"x" * place + b"y" + b"x" * (199_999 - place))
        found.append(digest_tree(tmp_path))
    (tmp_path / "a.bin").rename(tmp_path / "b.bin")
    assert len({*found, digest_tree(tmp_path)}) == 5

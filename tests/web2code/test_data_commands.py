"""The commands `web2code data ...` as a user types them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.web2code.data import layouts
from tests.web2code.data.small import sample, write_dataset
from tests.web2code.small_hub import NEW, OLD, fetched_before
from web2code import data_commands
from web2code.config import SelectionJob, digest_tree

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


def test_scores_are_of_the_weights_and_not_of_a_name(tmp_path, monkeypatch):
    fetched_before(monkeypatch, tmp_path / "hub")
    jobs = []
    keep = lambda module, job: jobs.append(SelectionJob.model_validate_json(job))  # noqa: E731
    monkeypatch.setattr(data_commands, "run_program", keep)

    def asked(model):
        done = CliRunner().invoke(data_commands.app, ["select", str(tmp_path), "--model", str(model)])
        assert done.exit_code == 0, done.output
        return jobs[-1]

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")
    first = asked(tmp_path / "model").fingerprint("data")
    (tmp_path / "model").rename(tmp_path / "moved")
    assert asked(tmp_path / "moved").fingerprint("data") == first
    (tmp_path / "moved" / "model.safetensors").write_bytes(b"others")
    assert asked(tmp_path / "moved").fingerprint("data") != first
    public = {asked(f"owner/toy{revision}").fingerprint("data") for revision in ("", f"@{OLD}", f"@{NEW}")}
    assert len(public) == 2
    assert (jobs[-1].selection.model, jobs[-1].selection.revision) == ("owner/toy", NEW)


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["build", "--source", "nothing"], "unknown source 'nothing': choose one of"),
    (["build", "--source", "websight"], "source 'websight' is read from a folder: write --source websight=FOLDER"),
    (["build", "--source", "websight=gone"], "gone is no folder"),
    (["build", "--source", "written", "--mixture", "most"], "unknown mixture 'most'"),
    (["build", "--source", "written", "--part", "WUB"], "no source given here has part 'WUB'"),
    (["build", "--source", "generated"], "unknown source 'generated': choose one of llava-instruct-150k"),
    (["build", "--source", "web2code=a", "--source", "web2code=b"], "web2code is named twice: name it once"),
    (["build", "--source", "written", "--viewport", "wide"], "--viewport wide: write it as WIDTHxHEIGHT, e.g."),
    (["build", "--source", "written", "--writer-url", NOWHERE], "--writer-url: without --writer-model no model writes"),
    (["build", "--source", "written", "--writer-model", "m"], "--writer-model is asked at --writer-url: give both"),
    (["build", "--source", "written", "--writer-model", "m", "--writer-url", NOWHERE, "--max-cost", "1"],
     "max_cost needs input_price or output_price"),
    (["validate", "gone", "--block", "no_near_duplicates"], "--block no_near_duplicates: choose one of id_unique, "),
    (["validate", "gone"], "is missing"),
    (["stats", "gone"], "is missing"),
    (["preview", "gone"], "is missing"),
    (["diff", "gone", "gone"], "holds no dataset.json"),
    (["select", "gone", "--model", "m", "--percentiles", "20"], "--percentiles 20: write it as LOW-HIGH, e.g. 10-90"),
    (["select", "gone", "--model", "m", "--ratios", "0.2-x"], "--ratios 0.2-x: write it as LOW-HIGH"),
    (["select", "gone", "--model", "m", "--percentiles", "20-80", "--ratios", "0.2-1"], "give one of them"),
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

"""The command `web2code plan` as a user types it."""

import json

import pytest
from typer.testing import CliRunner

from tests.web2code.modelling.checkpoints import small_parts
from web2code.cli import app


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")


def plan(*arguments):
    return CliRunner().invoke(app, ["plan", *arguments])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    values = small_parts(tmp_path_factory.mktemp("parts"))
    return ["llava15_7b", *(part for key, value in values.items() for part in ("--set", f"{key}={value}"))]


def test_tables_and_json_say_the_same(small):
    shown, printed = plan(*small, "--cluster", "8xH100"), plan(*small, "--cluster", "8xH100", "--json")
    assert shown.exit_code == printed.exit_code == 0, shown.stderr + printed.stderr
    planned = json.loads(printed.stdout)
    assert planned["cluster"]["num_devices"] == 8
    assert [stage["name"] for stage in planned["stages"]] == ["align", "instruct"]
    for stage in planned["stages"]:
        memory = stage["memory"]
        at_once = memory["activations"] + memory["transient"] + memory["buffers"]
        states = memory["weights"] + memory["gradients"] + memory["optimizer"]
        assert memory["total"] == states + max(at_once, memory["step"])
        assert f"{stage['workload']['samples']:,}" in shown.stdout
        assert f"{stage['memory']['total'] / 2**30:.1f}" in shown.stdout
    assert "32 x 1 x 8" in shown.stdout
    assert "16,384 tokens x 1 x 8" in shown.stdout
    rows = planned["stages"][1]["padding_of_rows"]
    assert "instruct packs its samples, the same in each step as without; padded rows" in shown.stdout
    assert f"would be {rows:.0%} padding" in shown.stdout
    assert f"take {planned['stages'][1]['hours_of_rows']:.1f} hours" in shown.stdout
    assert "assumed: 30% of the peak" in shown.stdout
    assert "at most 43% without padding" in shown.stdout


def test_nothing_is_cut_off_in_a_narrow_terminal(small, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for shown in (plan(*small, "--cluster", "8xH100"), CliRunner().invoke(app, ["recipes"])):
        assert shown.exit_code == 0
        assert "…" not in shown.stdout


def test_what_packing_would_save_is_told(small):
    shown = plan(*small, "--set", "instruct.pack_tokens=0").stdout
    assert "16 x 1 x 8" in shown
    assert "instruct.pack_tokens=16384 with instruct.attention=varlen trains on the same samples in each step" in shown


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["nope"], "unknown recipe 'nope': choose one of"),
    (["tiny"], "recipe 'tiny' is made from scratch and trains on any machine"),
    (["llava15_7b", "--cluster", "8xP100"], "unknown GPU 'P100': choose one of A100-40"),
    (["llava15_7b", "--cluster", "3xH100"], "does not split over 3 workers; set align.global_batch"),
    (["llava15_7b", "--cluster", "8xT4"], "align.precision: T4 (compute capability 7.5) has no bfloat16"),
    (["llava15_7b", "--set", "instruct.pack_tokens=1024"], "does not hold a sample of model.max_length (2048)"),
    (["llava15_7b", "--set", "instruct.learning_rate=["], "override 'instruct.learning_rate=[': its value is not YAML"),
    (["llava15_7b", "--set", "model=3"], "model: a model is a mapping whose kind is"),
    (["llava15_7b", "--set", "instruct.zero=1"], "unknown override 'instruct.zero'"),
    (["llava15_7b", "--set", "model.max_length=8192"], "reads at most 4096 tokens, not 8192"),
    (["llava15_7b", "--set", "model.language_model=/absent"], "no backbone '/absent'"),
    (["llava15_7b", "--mfu", "3"], "mfu 3: it is a share of the peak"),
])  # fmt: skip
def test_a_mistake_is_one_sentence(arguments, sentence):
    done = plan(*arguments)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1

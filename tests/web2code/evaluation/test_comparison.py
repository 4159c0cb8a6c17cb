"""Two models compared: what is found, what is not, and how it is said."""

import json

import pytest
from typer import Typer
from typer.testing import CliRunner

from tests.web2code.evaluation.small import BENCHMARKS, PARITY, write_results
from web2code.compare_command import compare as command
from web2code.evaluation import benchmarks
from web2code.evaluation.comparison import Comparison, cells, compare, markdown
from web2code.evaluation.results import read_scores, write_scores
from web2code.evaluation.statistics import holm


@pytest.fixture
def folders(tmp_path):
    write_results(tmp_path / "good", "good | model", 0.95, seed=1, num=200)
    write_results(tmp_path / "bad", "bad", 0.6, seed=2, num=200, answers={f"s{number}": "?" for number in range(12)})
    write_results(tmp_path / "twin", "twin", 0.95, seed=3, num=200)
    return tmp_path


def by_figure(comparison):
    return {row.figure: row for row in comparison.rows}


def test_a_better_model_is_found_and_an_equal_one_is_not(folders):
    found = by_figure(compare(folders / "good", folders / "bad", BENCHMARKS, 500))
    accuracy = found["accuracy"]
    assert accuracy.verdict == "better"
    assert accuracy.corrected < 0.001
    assert accuracy.difference.mean == pytest.approx(accuracy.first.mean - accuracy.second.mean)
    assert accuracy.difference.low > 0.2
    assert found["F1"].verdict == "better"
    assert found["yes ratio"].verdict == ""
    # Fewer answers that say nothing are better.
    assert found["unparsed"].difference.mean < 0
    assert found["unparsed"].verdict == "better"
    alike = by_figure(compare(folders / "good", folders / "twin", BENCHMARKS, 500))
    assert alike["accuracy"].verdict == alike["F1"].verdict == "undecided"


def test_turned_round_the_verdict_is_turned_round(folders):
    one = by_figure(compare(folders / "good", folders / "bad", BENCHMARKS, 500))["accuracy"]
    other = by_figure(compare(folders / "bad", folders / "good", BENCHMARKS, 500))["accuracy"]
    assert other.verdict == "worse"
    assert other.difference.mean == pytest.approx(-one.difference.mean)
    assert other.p == one.p


def test_main_figures_are_corrected_over_benchmarks_and_others_within_theirs(folders):
    for name in ("good", "twin"):
        folder = folders / name
        scores = read_scores(folder)
        (folder / "again.jsonl").write_bytes((folder / "parity.jsonl").read_bytes())
        both = scores.benchmarks | {"again": scores.benchmarks["parity"]}
        write_scores(folder, type(scores)(**dict(scores) | {"benchmarks": both}))
    rows = compare(folders / "good", folders / "twin", BENCHMARKS | {"again": PARITY}, 500).rows
    mains = [row for row in rows if row.main]
    assert [row.benchmark for row in mains] == ["parity", "again"]
    assert [row.corrected for row in mains] == holm([row.p for row in mains])
    for name in ("parity", "again"):
        others = [row for row in rows if row.benchmark == name and not row.main and row.figure != "yes ratio"]
        assert [row.corrected for row in others] == holm([row.p for row in others])
        assert len(others) == 3


def test_models_that_cannot_be_compared_are_refused(folders):
    write_results(folders / "other", "other", 0.9, num=200, dataset="another digest")
    with pytest.raises(ValueError, match="parity: the two models saw different files"):
        compare(folders / "good", folders / "other", BENCHMARKS, 100)
    write_results(folders / "fewer", "fewer", 0.9, num=100)
    with pytest.raises(ValueError, match="200 and 100 units are not the same ones"):
        compare(folders / "good", folders / "fewer", BENCHMARKS, 100)
    scores = read_scores(folders / "twin")
    write_scores(folders / "twin", type(scores)(**dict(scores) | {"benchmarks": {}}))
    with pytest.raises(ValueError, match="no benchmark in common"):
        compare(folders / "good", folders / "twin", BENCHMARKS, 100)


def test_what_the_conditions_differ_in_is_noted(folders):
    scores = read_scores(folders / "twin")
    write_scores(folders / "twin", type(scores)(**dict(scores) | {"precision": "fp16", "code": "d2"}))
    notes = compare(folders / "good", folders / "twin", BENCHMARKS, 100).notes
    assert any("bf16 and fp16" in note for note in notes)
    assert any("0.1.0 d1" in note and "0.1.0 d2" in note for note in notes)


def test_the_table_in_markdown_has_a_cell_for_each_column(folders):
    comparison = compare(folders / "good", folders / "bad", BENCHMARKS, 500)
    head, rule, *rows = markdown(comparison).strip().splitlines()
    assert "good \\| model" in head
    assert {line.replace("\\|", "").count("|") for line in (head, rule, *rows)} == {8}
    accuracy = cells(comparison.rows[0])
    assert accuracy[4].startswith("+")
    assert accuracy[5] == "<0.001"


def test_the_command_prints_and_writes(folders, monkeypatch):
    monkeypatch.setattr(benchmarks, "BENCHMARKS", BENCHMARKS)
    app = Typer()
    app.command()(command)
    runner = CliRunner()
    arguments = [str(folders / "good"), str(folders / "bad"), "--samples", "200"]
    done = runner.invoke(app, [*arguments, "--out", str(folders / "table.md")])
    assert done.exit_code == 0, done.output
    assert "accuracy" in done.output
    assert (folders / "table.md").read_text().startswith("| benchmark |")
    told = runner.invoke(app, [*arguments, "--json"])
    assert Comparison.model_validate(json.loads(told.output)).rows[0].verdict == "better"
    refused = runner.invoke(app, [str(folders / "good"), str(folders / "nowhere")])
    assert refused.exit_code == 2

"""What `web2code evaluate` refuses before anything starts, and what it shows at its end."""

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from tests.web2code.evaluation.small import write_results
from web2code.benchmark_folders import find_folders
from web2code.config import ASPECTS
from web2code.evaluate_command import evaluate, parse_benchmarks, show
from web2code.evaluation.benchmarks import BENCHMARKS
from web2code.evaluation.benchmarks.benchmark import Sample, Verdict
from web2code.evaluation.judges.ensemble import joined
from web2code.evaluation.judges.wcgb import merged
from web2code.evaluation.results import BenchmarkScores, make_row, read_scores, write_benchmark
from web2code.evaluation.visual import score_groups

app = Typer()
app.command()(evaluate)


def test_folders_are_found_by_name_or_as_given(tmp_path):
    for name in ("mme", "scienceqa", "pages"):
        (tmp_path / name).mkdir()
    given = parse_benchmarks(f"mme, wcgb={tmp_path / 'pages'},wcgb_judge,scienceqa_ensemble,")
    found = find_folders(given, tmp_path)
    assert {key: folder.name for key, folder in found.items()} == {
        "mme": "mme", "wcgb": "pages", "wcgb_judge": "pages", "scienceqa_ensemble": "scienceqa",
        "scienceqa": "scienceqa",
    }  # fmt: skip


@pytest.mark.parametrize(("benchmarks", "words"), [
    ("mmee", "no benchmark is called 'mmee': there are ai2d"),
    ("pope", r"pope is not there: make it, and fetch the Parquet files of the dataset lmms-lab/POPE"),
    ("wcgb_judge", r"wcgb is not there: make it, and name a dataset"),
    (" , ", "no benchmark is named"),
])  # fmt: skip
def test_what_is_missing_is_named_before_anything_starts(tmp_path, benchmarks, words):
    with pytest.raises(ValueError, match=words):
        find_folders(parse_benchmarks(benchmarks), tmp_path)


@pytest.mark.parametrize(("options", "words"), [
    (["--benchmarks", "wcgb_judge"], "wcgb_judge is judged by a model: give --judge-model and --judge-url"),
    (["--benchmarks", "wcgb", "--engine", "openai"], "--url and --engine openai belong together"),
    (["--benchmarks", "wcgb", "--url", "http://x/v1", "--dtype", "float16"], "do not reach a model behind --url"),
    (["--benchmarks", "wcgb", "--engine", "transformers", "--gpus", "2"], "transformers runs each copy on one GPU"),
])  # fmt: skip
def test_options_that_do_not_fit_are_a_sentence(tmp_path, options, words):
    (tmp_path / "wcgb").mkdir()
    done = CliRunner().invoke(app, ["model", "--data", str(tmp_path), *options])
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())


def test_judges_are_compared_with_the_computed_scores_and_with_each_other(tmp_path, capsys):
    write_results(tmp_path, "model", 0.9)
    scores, random = read_scores(tmp_path), np.random.default_rng(0)
    rows = {"wcgb": [], "wcgb_judge": []}
    for number, truth in enumerate(random.uniform(2, 8, 30)):
        sample = Sample(str(number), (), "", 1)
        aspects = dict.fromkeys(ASPECTS, truth)
        computed = Verdict(sample.id, "scored", score_groups(aspects) | aspects)
        said = [merged([dict.fromkeys(ASPECTS, truth + noise)]) for noise in random.normal(0, 0.3, 2)]
        panel = {name: Verdict(sample.id, "scored", values) for name, values in zip(("one", "two"), said, strict=True)}
        rows["wcgb"].append(make_row(tmp_path, sample, "", computed))
        rows["wcgb_judge"].append(make_row(tmp_path, sample, "", joined(panel)))
    for name in rows:
        scores = write_benchmark(tmp_path, BENCHMARKS[name], rows[name], scores, "d")
    show(tmp_path)
    told = " ".join(capsys.readouterr().out.split())
    assert "judge and computed scores, correlation over pages" in told
    assert "overall │ 30 │ 0.99 (" in told
    assert "agreement of one, two" in told


def test_the_official_metric_and_containment_are_both_printed_and_samples_that_are_missing_are_told(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    write_results(tmp_path, "model", 0.9)
    rows = [
        make_row(
            tmp_path,
            Sample(f"{half}/{number}", (), "", 1, {"answers": ["seven"], "half": half}),
            "seven",
            Verdict(f"{half}/{number}", "scored", {"relaxed": 1.0, "lmms-eval": 1.0, "words": 1.0, "substring": 1.0}),
        )
        for half in ("human", "augmented")
        for number in range(3)
    ]
    scores = write_benchmark(tmp_path, BENCHMARKS["chartqa"], rows, read_scores(tmp_path), "d")
    assert scores.benchmarks["chartqa"].published == (2500,)
    show(tmp_path)
    told = " ".join(capsys.readouterr().out.split())
    assert "relaxed accuracy │" in told
    assert "containment │" in told
    assert "containment (published) │" in told
    assert "chartqa: ChartQA: 6 of 2,500 published samples" in told


def test_a_whole_split_needs_no_notice():
    whole = BenchmarkScores(title="t", dataset="d", num=80, outcomes={}, figures=(), published=(484, 80))
    assert whole.notice == ""
    part = BenchmarkScores.model_validate(dict(whole) | {"num": 90})
    assert part.notice == "90 of 484 published samples"
    assert BenchmarkScores.model_validate(dict(whole) | {"published": ()}).notice == ""

"""What `web2code evaluate` refuses before anything starts, and what it shows at its end."""

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from tests.web2code.evaluation.benchmarks.public_files import write_llava_bench
from tests.web2code.evaluation.small import write_results
from tests.web2code.small_hub import NEW, OLD, fetched_before
from web2code.benchmark_folders import find_folders
from web2code.config import ASPECTS, BenchmarkJob
from web2code.evaluate_command import Found, evaluate, find_model, parse_benchmarks, show
from web2code.evaluation.benchmarks import BENCHMARKS
from web2code.evaluation.benchmarks.benchmark import SCORER_RAISED, Sample, Verdict
from web2code.evaluation.benchmarks.llava_bench import IN_THE_WILD
from web2code.evaluation.engines.serving import vllm_arguments
from web2code.evaluation.judges.ensemble import joined
from web2code.evaluation.judges.wcgb import merged
from web2code.evaluation.results import BenchmarkScores, Spent, make_row, read_scores, write_benchmark
from web2code.evaluation.visual import score_groups
from web2code.report.answers import write_answers

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
    ("wub=a,wub=b", "wub is named twice"),
])  # fmt: skip
def test_what_is_missing_is_named_before_anything_starts(tmp_path, benchmarks, words):
    with pytest.raises(ValueError, match=words):
        find_folders(parse_benchmarks(benchmarks), tmp_path)


@pytest.mark.parametrize("benchmarks", [
    "wcgb={0},wcgb_judge", "wcgb_judge,wcgb={0}", "wcgb_judge={0},wcgb", "wcgb_judge={0}", "wcgb_judge={0},wcgb={0}/",
    "wcgb_widths,wcgb_judge={0}",
])  # fmt: skip
def test_what_looks_at_the_same_answers_has_one_folder_in_whatever_order(tmp_path, benchmarks):
    for name in ("wcgb", "pages"):
        (tmp_path / name).mkdir()
    found = find_folders(parse_benchmarks(benchmarks.format(tmp_path / "pages")), tmp_path)
    assert set(found.values()) == {tmp_path / "pages"}
    assert found.keys() >= {"wcgb", "wcgb_judge"}


def test_two_folders_for_the_same_answers_are_refused(tmp_path):
    for given in (
        "wcgb={0}/a,wcgb_judge={0}/b",
        "wcgb_page_down={0}/a,wcgb_judge={0}/b",
        "wcgb_widths={0}/a,wcgb={0}/b",
    ):
        with pytest.raises(
            ValueError, match=r"/a and wcgb.*/b are about the same answers, those to wcgb: give one folder"
        ):
            find_folders(parse_benchmarks(given.format(tmp_path)), tmp_path)


@pytest.mark.parametrize(("options", "words"), [
    (["--benchmarks", "wcgb_judge"], "wcgb_judge is judged by a model: give --judge-model and --judge-url"),
    (["--benchmarks", "wcgb", "--engine", "openai"], "--url and --engine openai belong together"),
    (["--benchmarks", "wcgb", "--url", "http://x/v1", "--dtype", "float16"], "do not reach a model behind --url"),
    (["--benchmarks", "wcgb", "--engine", "transformers", "--gpus", "2"], "transformers runs each copy on one GPU"),
    (["--benchmarks", "wcgb", "--key-variable", "KEY"], "--key-variable names the key of --url: give both or neither"),
    (["--benchmarks", "wcgb", "--url", "http://x/v1", "--key-variable", "KEY"], "the environment has no such variable"),
    (["--benchmarks", "wcgb", "--judge-url", "http://x/v1"], "--judge-url: no model judges these benchmarks"),
    (["--benchmarks", "wcgb", "--judge-repeats", "3", "--max-cost", "1"], "--judge-repeats, --max-cost: no model"),
    (["--benchmarks", "wcgb", "--timeout", "9"], "--timeout: it is for answers of --url: leave it out"),
    (["--benchmarks", "wcgb", "--concurrency", "4"], "--concurrency: no endpoint is asked: leave it out"),
    (["--benchmarks", "wcgb", "--url", "http://x/v1", "--engines", "2"], "--engines does not copy a model behind"),
    (["--benchmarks", "wcgb_judge", "--url", "http://x/v1", "--judge-model", "j", "--judge-url", "http://x/v1",
      "--max-cost", "1"], "max_cost needs input_price or output_price"),
])  # fmt: skip
def test_options_that_do_not_fit_are_a_sentence(tmp_path, options, words):
    (tmp_path / "wcgb").mkdir()
    done = CliRunner().invoke(app, ["model", "--data", str(tmp_path), *options])
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())


def test_a_public_model_is_named_with_its_commit(tmp_path, monkeypatch):
    fetched_before(monkeypatch, tmp_path)
    assert find_model("owner/toy") == Found("owner/toy", "toy", f"owner/toy@{OLD}", OLD)
    assert find_model(f"owner/toy@{NEW}") == Found("owner/toy", f"toy@{NEW}", f"owner/toy@{NEW}", NEW)
    assert find_model("owner/toy@v2", "http://x/v1") == Found("owner/toy@v2", "toy@v2", "owner/toy@v2 at http://x/v1")
    with pytest.raises(ValueError, match="owner/other cannot be fetched"):
        find_model("owner/other")


def test_a_checkpoint_of_training_is_called_by_the_name_before_its_last(tmp_path, monkeypatch):
    for name in ("c0ffee/model", "mine"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}")
    assert find_model(f"{tmp_path}/c0ffee/model/").called == "c0ffee"
    assert find_model(f"{tmp_path}/mine").called == "mine"
    monkeypatch.chdir(tmp_path / "c0ffee" / "model")
    assert [find_model(name).called for name in (".", "../model", "../../mine")] == ["c0ffee", "c0ffee", "mine"]
    assert [find_model(name, "http://x/v1").called for name in ("runs/c0ffee/model", "model")] == ["c0ffee", "model"]


def test_a_public_model_is_asked_and_recorded_at_its_commit(tmp_path, monkeypatch):
    fetched_before(monkeypatch, tmp_path)
    monkeypatch.setenv("WEB2CODE_HOME", str(tmp_path / "home"))
    (tmp_path / "wub").mkdir()
    (tmp_path / "wub" / "file").write_text("no question")
    done = CliRunner().invoke(app, ["owner/toy", "--benchmarks", "wub", "--data", str(tmp_path)])
    assert done.exit_code == 2
    (path,) = (tmp_path / "home" / "jobs").glob("benchmark-*.json")
    job = BenchmarkJob.model_validate_json(path.read_text())
    assert (job.checkpoint, job.engine.model, job.engine.revision) == (f"owner/toy@{OLD}", "owner/toy", OLD)
    assert vllm_arguments(job.engine, tmp_path, 1) == {
        "model": "owner/toy", "dtype": "auto", "revision": OLD, "tokenizer_revision": OLD,
    }  # fmt: skip


def test_judges_are_asked_as_the_options_say_and_each_server_gets_its_own_key(tmp_path, chat, monkeypatch):
    for name, value in (("WEB2CODE_HOME", tmp_path / "home"), ("MODEL_KEY", "of the model"), ("JUDGE_KEY", "other")):
        monkeypatch.setenv(name, str(value))
    write_llava_bench(tmp_path, IN_THE_WILD)
    chat.reply = lambda body: '{"answer_1": 8, "answer_2": 4}' if body["model"] == "j" else "A bus."
    done = CliRunner().invoke(app, [
        "m", "--url", chat.url, "--key-variable", "MODEL_KEY", "--judge-model", "j", "--judge-url", chat.url,
        "--judge-key", "JUDGE_KEY", "--judge-max-tokens", "8192", "--judge-repeats", "2", "--output-price", "10000",
        "--judge-timeout", "900", "--judge-max-side", "4096",
        "--benchmarks", f"{IN_THE_WILD.name}={tmp_path}", "--limit", "1", "--out", str(tmp_path / "results"),
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert chat.keys == {"m": {"of the model"}, "j": {"other"}}
    assert [body["max_tokens"] for body in chat.seen if body["model"] == "j"] == [8192] * 2
    (path,) = (tmp_path / "home" / "jobs").glob("benchmark-*.json")
    job = BenchmarkJob.model_validate_json(path.read_text())
    assert (job.where.judge.timeout_seconds, job.judge.max_side) == (900, 4096)
    scores = read_scores(tmp_path / "results")
    assert scores.judges == {"j": Spent(requests=2, input_tokens=200, output_tokens=100, cost=1.0)}
    assert scores.benchmarks[IN_THE_WILD.name].title.endswith("(j, 2 replies each)")
    assert "judge j: 2 requests, 200 tokens in, 100 out, cost 1.00" in done.output
    answers = write_answers(tmp_path / "page", tmp_path / "results", scores, IN_THE_WILD.name)
    assert "judge j, over all benchmarks: 2 requests" in answers.read_text()


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


def test_of_screenshots_alone_the_similarity_of_pixels_is_compared_with_the_judge(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    write_results(tmp_path, "model", 0.9)
    scores, random = read_scores(tmp_path), np.random.default_rng(0)
    rows = {"wcgb": [], "wcgb_judge": []}
    for number, truth in enumerate(random.uniform(2, 8, 30)):
        sample = Sample(str(number), (), "", 1, {"reference": "screenshot"})
        said = Verdict(sample.id, "scored", merged([dict.fromkeys(ASPECTS, truth + random.normal(0, 0.3))]))
        rows["wcgb"].append(make_row(tmp_path, sample, "", Verdict(sample.id, "scored", {"similarity": truth})))
        rows["wcgb_judge"].append(make_row(tmp_path, sample, "", said))
    for name in rows:
        scores = write_benchmark(tmp_path, BENCHMARKS[name], rows[name], scores, "d")
    show(tmp_path)
    told = " ".join(capsys.readouterr().out.split())
    assert "overall, with similarity of pixels │ 30 │ 0.99 (" in told
    assert "too few pages" not in told


def test_errors_of_scorers_are_printed_and_pages_that_failed_by_themselves_are_not(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    write_results(tmp_path, "model", 0.9)
    raised = f"{SCORER_RAISED} IndexError: [0] is out of range"
    verdicts = [Verdict("a", "failed", reason=raised), Verdict("b", "failed", reason=raised), Verdict("c", "failed")]
    rows = [make_row(tmp_path, Sample(verdict.id, (), "", 1), "", verdict) for verdict in verdicts]
    write_benchmark(tmp_path, BENCHMARKS["wcgb"], rows, read_scores(tmp_path), "d")
    show(tmp_path)
    told = capsys.readouterr().out
    assert "wcgb: 2 of 3 failed: its scorer raised IndexError: [0] is out of range\n" in told
    assert told.count("failed:") == 1


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

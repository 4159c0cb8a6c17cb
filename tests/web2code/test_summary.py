import json
import os
import signal
import time

from web2code.config import (
    DataConfig,
    DatasetRecord,
    Decision,
    EvaluationRecord,
    Interval,
    ModelRecord,
    Shard,
    StageRecord,
    SystemResult,
    Understanding,
    Visual,
)
from web2code.summary import RunSummary, begin_run, run_folder, write_summary

INTERVAL = Interval(mean=0.5, low=0.4, high=0.6)
SYSTEM = SystemResult(
    wub=Understanding(
        accuracy=0.5, num=10, unparsed=1, interval=INTERVAL, balanced_accuracy=0.5, yes_ratio=0.5, majority=0.6
    ),
    wcgb_visual=Visual(
        overall=4, vsa=1, cad=2, tcc=3, uii=4, num=10, render_failed=2, intervals={"overall": INTERVAL}
    ),
)  # fmt: skip
RESULTS = [
    DatasetRecord(
        fingerprint="f", data=DataConfig(sources=()), num_pairs={"WUB": 90}, shards=tuple(
            Shard(path=split, part="DWCG", split=split, num_rows=num, num_bytes=1, sha256="")
            for split, num in (("train", 20), ("eval", 10))
        ),
    ),
    "0123.dir",
    StageRecord(
        fingerprint="a", name="align", zero_stage=2, steps=4, first_loss=3, last_loss=2, seconds_to_first_step=5,
        seconds=9, losses=(3, 2),
    ),
    EvaluationRecord(
        fingerprint="e", dataset_version="0123.dir", evaluator="x",
        systems={"candidate": SYSTEM, "untrained": SYSTEM, "constant_page": SYSTEM},
    ),
    Decision(promoted=True, reason="better"),
    ModelRecord(name="web2code-tiny", version=3, aliases=("champion",)),
]  # fmt: skip
SHAPE = {"wub": {"accuracy", "num", "unparsed"},
         "wcgb_visual": {"overall", "vsa", "cad", "tcc", "uii", "num", "render_failed"}}  # fmt: skip


def read(home, run="latest"):
    return json.loads((home / "runs" / run / "summary.json").read_text())


def assert_scores(system):
    for part, keys in SHAPE.items():
        assert keys <= set(system[part])


def test_a_finished_run_has_every_agreed_key(tmp_path):
    summary = begin_run(tmp_path)
    for result in RESULTS:
        summary.take(result)
    summary.seconds = {"dataset": 1.0, "total": 2.0}
    summary.status, summary.report = "completed", "report.html"
    write_summary(tmp_path, summary)
    found = read(tmp_path)
    assert found["run"] == summary.run
    assert found["status"] == "completed"
    assert found["seconds"] == {"dataset": 1.0, "total": 2.0}
    assert found["dataset"] == {"version": "0123.dir", "num_pages": 30, "num_questions": 90, "num_left_out": 0}
    assert found["stages"] == [
        {"name": "align", "zero_stage": 2, "steps": 4, "first_loss": 3.0, "last_loss": 2.0,
         "seconds_to_first_step": 5.0, "seconds": 9.0}
    ]  # fmt: skip
    assert_scores(found["evaluation"])
    assert set(found["baselines"]) == {"untrained", "constant_page"}
    for system in found["baselines"].values():
        assert_scores(system)
    assert found["decision"] == {"promoted": True, "reason": "better"}
    assert found["model"] == {"name": "web2code-tiny", "version": 3, "aliases": ["champion"]}
    assert found["report"] == "report.html"
    assert RunSummary.model_validate(found) == summary


def test_a_run_that_got_nowhere_has_every_key_too(tmp_path):
    begin_run(tmp_path)
    found = read(tmp_path)
    assert found["status"] == "running"
    assert {"dataset", "evaluation", "baselines", "decision", "model", "report", "stages", "seconds"} <= set(found)
    assert found["evaluation"] is None


def test_the_version_is_there_before_the_gate_speaks(tmp_path):
    summary = begin_run(tmp_path)
    for result in RESULTS[:2]:
        summary.take(result)
    assert summary.dataset.version == "0123.dir"


def test_latest_is_the_newest_and_names_sort_by_time(tmp_path):
    first = begin_run(tmp_path)
    time.sleep(1.1)
    second = begin_run(tmp_path)
    assert first.run < second.run
    assert (tmp_path / "runs" / "latest").resolve() == run_folder(tmp_path, second.run).resolve()
    assert not (tmp_path / "runs" / "latest").readlink().is_absolute()
    assert read(tmp_path, first.run)["run"] == first.run


def test_a_home_that_is_moved_keeps_its_latest(tmp_path):
    summary = begin_run(tmp_path / "home")
    (tmp_path / "home").rename(tmp_path / "elsewhere")
    assert read(tmp_path / "elsewhere")["run"] == summary.run


def test_a_kill_never_leaves_half_a_summary(tmp_path):
    summary = begin_run(tmp_path)
    for result in RESULTS:
        summary.take(result)
    write_summary(tmp_path, summary)  # else the child may not have begun when it is killed
    child = os.fork()
    if child == 0:
        while True:
            write_summary(tmp_path, summary)
    for _ in range(200):
        read(tmp_path)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert RunSummary.model_validate(read(tmp_path)) == summary

"""Scorers on the cluster: a page that ends one is found and named, and all others are scored."""

import os
import re
import subprocess
import time
from dataclasses import replace

import pytest
import ray

from ray_jobs import scorers as module
from ray_jobs.scorers import Scorers
from web2code.evaluation.benchmarks import BENCHMARKS
from web2code.evaluation.benchmarks.benchmark import Folders, Sample, Verdict
from web2code.evaluation.journal import Journal


class Length:
    """Scores an answer by its length; one kind of answer ends its process, as a crash in a decoder would."""

    def __init__(self, folders):
        self.folders = folders

    def prepare(self, sample):
        if sample.id == "poison":
            os._exit(1)
        (self.folders.kept / f"{sample.id} is prepared").touch()

    def score(self, sample, text):
        if text == "poison":
            os._exit(1)
        return Verdict(sample.id, "scored", {"length": float(len(text))})

    def close(self):
        pass


def one_scorer(benchmarks, folder, journal=None):
    return Scorers(benchmarks, {"wcgb": Folders(folder, folder, folder)}, {"wcgb": journal}, {"wcgb": 1})


def test_a_page_that_ends_its_scorer_is_found_and_named(local_ray, tmp_path):
    texts = {f"page{number}": "x" * number for number in range(20)} | {"page7": "poison"}
    journal = Journal(tmp_path / "verdicts.jsonl")
    free = ray.available_resources()["CPU"]
    benchmarks = {"wcgb": replace(BENCHMARKS["wcgb"], scorer=Length), "wub": BENCHMARKS["wub"]}
    with one_scorer(benchmarks, tmp_path, journal) as scorers:
        for name, text in texts.items():
            scorers.take("wcgb", Sample(name, (b"picture",), "", 4), text)
        assert scorers.collect() == 0
    deadline = time.monotonic() + 20
    while ray.available_resources()["CPU"] < free and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ray.available_resources()["CPU"] >= free, "scorers still hold what others wait for"
    again = Journal(tmp_path / "verdicts.jsonl")
    assert again.entries == journal.entries
    assert journal.entries.keys() == texts.keys()
    assert [name for name, entry in journal.entries.items() if entry["outcome"] != "scored"] == ["page7"]
    assert journal["page7"]["outcome"] == "failed"
    assert "ended its scorer" in journal["page7"]["reason"]
    assert all(journal[name]["values"]["length"] == len(texts[name]) for name in texts if name != "page7")


def score(journal, folder, texts, scorer=Length):
    """Have answers scored by one scorer, those that the journal does not have yet."""
    benchmarks = {"wcgb": replace(BENCHMARKS["wcgb"], scorer=scorer)}
    with one_scorer(benchmarks, folder, journal) as scorers:
        for name, text in texts.items():
            scorers.take("wcgb", Sample(name, (), "", 4), text)
        scorers.collect()


def test_what_answers_need_is_done_ahead_and_costs_none_its_verdict(local_ray, tmp_path):
    coming = [Sample(name, (b"picture",), "", 4) for name in ("page0", "page1", "poison", *"abcdef")]
    journal = Journal(tmp_path / "verdicts.jsonl")
    journal.add("page0", outcome="scored", values={}, reason="")
    benchmarks = {"wcgb": replace(BENCHMARKS["wcgb"], scorer=Length), "wub": BENCHMARKS["wub"]}
    with one_scorer(benchmarks, tmp_path, journal) as scorers:
        feed = iter([("wcgb", sample) for sample in coming[:2]] + [("wub", Sample("other", (), "", 4))])
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob("* is prepared")) and time.monotonic() < deadline:
            scorers.prepare(feed)
            time.sleep(0.05)
        assert [path.name for path in tmp_path.glob("* is prepared")] == ["page1 is prepared"]
        scorers.prepare(iter([("wcgb", sample) for sample in coming[2:]]))
        for sample in coming:
            scorers.take("wcgb", sample, "text")
        assert scorers.collect() == 0
    assert {entry["outcome"] for entry in journal.entries.values()} == {"scored"}
    assert journal.entries.keys() == {sample.id for sample in coming}


def failed(journal):
    return {name for name, entry in journal.entries.items() if entry["outcome"] == "failed"}


def test_pages_that_end_their_scorers_far_apart_are_all_named(local_ray, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_DEATHS", 3)
    poison = {"page5", "page15", "page25"}
    texts = {f"page{number}": "poison" if f"page{number}" in poison else "x" for number in range(30)}
    journal = Journal(tmp_path / "verdicts.jsonl")
    score(journal, tmp_path, texts)
    assert journal.entries.keys() == texts.keys()
    assert failed(journal) == poison


def test_where_every_page_ends_its_scorer_each_attempt_goes_on_from_the_one_before(local_ray, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_DEATHS", 3)
    texts = dict.fromkeys(("page0", "page1", "page2", "page3", "page4", "page5"), "poison")
    with pytest.raises(RuntimeError, match="scorers failed 4 times without a verdict"):
        score(Journal(tmp_path / "verdicts.jsonl"), tmp_path, texts)
    first = failed(Journal(tmp_path / "verdicts.jsonl"))
    assert 0 < len(first) < len(texts)
    with pytest.raises(RuntimeError, match="scorers failed 4 times without a verdict"):
        score(Journal(tmp_path / "verdicts.jsonl"), tmp_path, texts)
    assert failed(Journal(tmp_path / "verdicts.jsonl")) > first


class Wrong(Length):
    """Raises an error for one kind of answer, for another once, and for a third as long as something is missing."""

    def score(self, sample, text):
        if text == "blank":
            return Verdict(sample.id, "unparsed", reason="no page")
        if text == "wrong":
            raise KeyError("no\nsuch key")
        if text == "lacking" and not (self.folders.kept / "there").exists():
            raise ValueError("no Chromium on PATH")
        if text == "busy" and not (self.folders.kept / "busy").exists():
            (self.folders.kept / "busy").touch()
            raise OSError("too many open files")
        return super().score(sample, text)


def test_a_page_that_a_scorer_raises_an_error_for_again_is_named_and_no_other_is_lost(local_ray, tmp_path):
    texts = dict.fromkeys(("page0", "page1", "page2", "page3"), "text") | {"page1": "wrong", "page2": "busy"}
    journal = Journal(tmp_path / "verdicts.jsonl")
    score(journal, tmp_path, texts, Wrong)
    assert journal.entries.keys() == texts.keys()
    assert failed(journal) == {"page1"}
    assert journal["page1"]["reason"] == r"its scorer raised KeyError: 'no\nsuch key'"


def test_where_no_answer_has_a_score_errors_end_the_evaluation_and_are_no_verdicts(local_ray, tmp_path, monkeypatch):
    texts = {"page0": "blank", "page1": "lacking", "page2": "lacking"}
    with pytest.raises(
        RuntimeError, match=r"no answer has a score, .* page[12]: its scorer raised .* Chromium on PATH"
    ):
        score(Journal(tmp_path / "verdicts.jsonl"), tmp_path, texts, Wrong)
    monkeypatch.setattr(module, "MAX_DEATHS", 0)
    with pytest.raises(RuntimeError, match=r"scorers failed 1 times without a verdict.*Chromium on PATH"):
        score(Journal(tmp_path / "verdicts.jsonl"), tmp_path, texts, Wrong)
    (tmp_path / "there").touch()
    journal = Journal(tmp_path / "verdicts.jsonl")
    assert journal.entries.keys() == {"page0"}
    score(journal, tmp_path, texts, Wrong)
    assert {name: entry["outcome"] for name, entry in journal.entries.items()} == {
        "page0": "unparsed", "page1": "scored", "page2": "scored",
    }  # fmt: skip


class Endless(Length):
    """Searches without end, for one kind of answer, with an expression that lets no other thread run Python."""

    def score(self, sample, text):
        if text == "endless":
            re.match("(a+)+b", "a" * 60)
        return super().score(sample, text)


def test_a_page_that_is_scored_without_end_ends_its_scorer_and_is_named(local_ray, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PAGE_SECONDS", 3.0)
    texts = dict.fromkeys(("page0", "page1", "page3"), "text") | {"page2": "endless"}
    journal = Journal(tmp_path / "verdicts.jsonl")
    with one_scorer({"wcgb": replace(BENCHMARKS["wcgb"], scorer=Endless)}, tmp_path, journal) as scorers:
        for name, text in texts.items():
            scorers.take("wcgb", Sample(name, (), "", 4), text)
        scorers.collect()
    assert journal.entries.keys() == texts.keys()
    assert failed(journal) == {"page2"}
    assert "took it more than 3 s" in journal["page2"]["reason"]


class Pinned(Length):
    """Knows the cores that its process and what it starts may use."""

    def __init__(self, folders):
        super().__init__(folders)
        self.child = subprocess.Popen(["sleep", "600"])

    def cores(self):
        return [os.sched_getaffinity(thread) for pid in (os.getpid(), self.child.pid) for thread in threads(pid)]

    def close(self):
        self.child.kill()


def threads(pid):
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system pins no threads")
@pytest.mark.skipif(os.cpu_count() == 1, reason="one core")
def test_a_scorer_keeps_to_one_core_until_engines_have_left_theirs(local_ray, tmp_path):
    benchmarks = {"wcgb": replace(BENCHMARKS["wcgb"], scorer=Pinned)}
    with one_scorer(benchmarks, tmp_path) as scorers:
        [actor] = scorers.actors["wcgb"]
        assert {len(cores) for cores in ray.get(actor.call.remote("cores"))} == {1}
        scorers.spread()
        deadline = time.monotonic() + 20
        while min(map(len, ray.get(actor.call.remote("cores")))) == 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert all(cores == os.sched_getaffinity(0) for cores in ray.get(actor.call.remote("cores")))

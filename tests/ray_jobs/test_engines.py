"""Engines on the cluster: order does not matter, death does not either, and who causes it is named."""

import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import ray

from ray_jobs import engines
from ray_jobs.engines import EngineActor, answer, engine_starter
from tests.ray_jobs.small_engines import Echo, Pair, Who
from tests.web2code.modelling.checkpoints import save_llava
from tests.web2code.modelling.test_export import QUESTION, screenshot
from web2code.config import BenchmarkJob, EngineConfig, Where
from web2code.evaluation.engines import serving
from web2code.evaluation.engines.engine import Inbox, Request, generate
from web2code.evaluation.engines.transformers import TransformersEngine
from web2code.modelling.templates import TEMPLATES


def start():
    return ray.remote(num_cpus=0.1, max_concurrency=3)(EngineActor).remote(Echo)


def requests(prompts):
    return [[Request(str(number), (), prompt, 4)] for number, prompt in enumerate(prompts)]


def test_every_request_is_answered_by_one_of_the_engines(local_ray):
    replies = list(answer(start, 2, requests(f"word {number}" for number in range(700))))
    assert {reply.key: reply.text for reply in replies} == {str(n): f"WORD {n}" for n in range(700)}
    assert len(replies) == 700
    assert {reply.engine for reply in replies} == {"echo 1"}


def test_engines_share_what_there_is_to_ask(local_ray):
    def start_pair():
        return ray.remote(num_cpus=0.1, max_concurrency=3)(EngineActor).remote(Who)

    counts = Counter(reply.text for reply in answer(start_pair, 2, requests(["word"] * 100)))
    assert len(counts) == 2
    assert min(counts.values()) >= 40


def test_what_a_slow_engine_does_not_hold_is_answered_by_the_other(local_ray, tmp_path):
    def start_pair():
        actor = ray.remote(num_cpus=0.1, max_concurrency=3)(EngineActor).remote(partial(Pair, tmp_path, 58))
        ray.get(actor.__ray_ready__.remote())
        return actor

    counts = Counter(reply.text for reply in answer(start_pair, 2, requests(["word"] * 60), window=2))
    assert sorted(counts.values()) == [2, 58]


def test_a_request_that_ends_its_engine_is_found_and_named(local_ray):
    prompts = [f"word {number}" for number in range(60)]
    prompts[37] = "poison"
    replies = list(answer(start, 1, requests(prompts)))
    assert len(replies) == 60
    assert [reply.key for reply in replies if reply.error] == ["37"]
    assert "died" in next(reply.error for reply in replies if reply.error)
    assert {reply.text for reply in replies if not reply.error} == {p.upper() for p in prompts if p != "poison"}


def test_requests_that_end_their_engine_far_apart_are_all_named(local_ray, monkeypatch):
    monkeypatch.setattr(engines, "MAX_DEATHS", 3)
    poison = (4, 20, 36)
    prompts = ["poison" if number in poison else f"word {number}" for number in range(40)]
    replies = list(answer(start, 1, requests(prompts), window=8))
    assert len(replies) == len(prompts)
    assert {int(reply.key) for reply in replies if reply.error} == set(poison)


def test_an_engine_that_dies_of_everything_ends_but_names_what_it_died_of_first(local_ray, monkeypatch):
    monkeypatch.setattr(engines, "MAX_DEATHS", 3)
    replies = answer(start, 1, requests(["poison"] * 5))
    named = [next(replies).key for _ in range(3)]
    assert named == ["0", "1", "2"]
    with pytest.raises(RuntimeError, match="an engine died 4 times without an answer"):
        next(replies)


def test_an_engine_that_does_not_start_says_why(local_ray):
    def broken():
        raise ValueError("no such checkpoint: name one")

    def start_broken():
        return ray.remote(num_cpus=0.1, max_concurrency=3)(EngineActor).remote(broken)

    with pytest.raises(RuntimeError, match="no such checkpoint: name one"):
        list(answer(start_broken, 1, requests(["word"])))


def test_nothing_to_ask_starts_nothing():
    assert list(answer(partial(pytest.fail, "an engine was started"), 1, [])) == []


def test_no_engine_is_started_without_a_request(local_ray):
    started = []

    def counted():
        started.append(start())
        return started[-1]

    replies = list(answer(counted, 8, requests(["one", "two"])))
    assert sorted(reply.text for reply in replies) == ["ONE", "TWO"]
    assert len(started) == 2


def test_vllm_in_an_actor_writes_what_transformers_does(local_ray, tmp_path, monkeypatch):
    python = Path(sys.prefix) / "vllm" / "bin" / "python"
    if not python.exists():
        pytest.skip("vLLM is not installed: make vllm")
    monkeypatch.setenv(serving.PYTHON_VARIABLE, str(python))
    monkeypatch.setattr(serving, "GIGABYTES_OF_CACHE", 1)
    checkpoint = save_llava(tmp_path / "checkpoint", TEMPLATES["mpt"])
    asked = [
        [Request(str(number), (screenshot(32, 32),) * (number % 4), f"{QUESTION} {number}", 24)] for number in range(8)
    ]
    job = BenchmarkJob(
        where=Where(home=str(tmp_path), data_dir=""), name="small", checkpoint="small", benchmarks={},
        engine=EngineConfig(kind="vllm", model=str(checkpoint), max_length=1024),
    )  # fmt: skip
    by_vllm = {reply.key: reply for reply in answer(engine_starter(job), 1, asked)}
    inbox = Inbox()
    for bundle in asked:
        inbox.put(bundle)
    inbox.close()
    engine = TransformersEngine(str(checkpoint))
    by_transformers = {reply.key: reply for replies in engine.stream(inbox) for reply in replies}
    assert len(by_vllm) == len(by_transformers) == len(asked)
    for key, reply in by_transformers.items():  # vLLM holds back bytes that are no text yet
        assert by_vllm[key].text == reply.text.replace("\N{REPLACEMENT CHARACTER}", ""), key
    assert not any(reply.error for reply in (*by_vllm.values(), *by_transformers.values()))
    assert any(reply.text for reply in by_vllm.values())


def test_an_inbox_keeps_bundles_and_tells_when_it_is_closed():
    inbox = Inbox()
    assert inbox.take(wait=False) == []
    first, second = requests(["a", "b"])
    inbox.put(first + second)
    assert inbox.take() == first + second
    inbox.close()
    assert inbox.take() is None


def test_answers_come_in_order():
    assert generate(Echo(), [b"", (), (b"", b"")], ["one", "two", "three"], 4) == ["ONE", "TWO", "THREE"]

"""Generation, rendering and scoring of the demo's held-out pages: each alone and all at once, by one and two workers.

Needs a finished `make demo`. What counts is the time from the first request to the last verdict; the processes are
there before.
"""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
import torch
from transformers import AutoModelForImageTextToText

from benchmarks.arms import ROUNDS, Arm, apart, report
from benchmarks.demo import demo_model
from benchmarks.parts import Keeper, Renderer, digest_of, serve
from ray_jobs.benchmark import ask, num_scorers, samples
from ray_jobs.engines import engine_starter
from ray_jobs.judges import Judges
from ray_jobs.scorers import Scorers
from web2code.config import BenchmarkJob, Endpoint, EngineConfig, Where
from web2code.evaluation.benchmarks import BENCHMARKS
from web2code.evaluation.benchmarks.benchmark import Folders, PageScorer
from web2code.evaluation.engines.openai import MAX_SIDE
from web2code.evaluation.journal import Journal
from web2code.evaluation.judges.wcgb import scaled_png

# Twelve bundles of sixteen, which two engines share evenly; and what a model of 7 B writes on a large GPU in a second.
NUM, PACE = 192, 10.0
# The demo's model is so small that writing a page takes the time of rendering it; larger ones take far longer.
DEPTH = 4
Make = Callable[[Folders], PageScorer]


@dataclass
class Done:
    """Texts and values by sample, and the seconds that they took."""

    seconds: float
    texts: dict[str, str]
    values: dict[str, dict[str, float]] = field(default_factory=dict)


class Staying(Scorers):
    """Scorers that keep to their cores when all is answered: one is to use one core."""

    def spread(self) -> None:
        """Nothing."""


def deeper(model: Path, folder: Path) -> Path:
    """A copy with `DEPTH` times as many layers, the new ones adding nothing: a larger model's work, the same text."""
    shallow = AutoModelForImageTextToText.from_pretrained(model)
    config = deepcopy(shallow.config)
    config.text_config.num_hidden_layers *= DEPTH
    deep = AutoModelForImageTextToText.from_config(config)
    deep.load_state_dict(shallow.state_dict(), strict=False)
    for layer in deep.model.language_model.layers[shallow.config.text_config.num_hidden_layers :]:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("*.safetensors*"))
    deep.save_pretrained(folder)
    return folder


def evaluate(
    folder: Path, kept: Path, model: Path, scorer: Make | None, texts: dict[str, str] | None = None,
    engines: int = 1, url: str = "", scorers: int = 0,
) -> Done:  # fmt: skip
    """Answers, verdicts or both; with `texts` nothing is asked. Everything runs before the clock does."""
    data = str(Path("data").resolve())
    job = BenchmarkJob(
        where=Where(
            home=str(folder / "home"), data_dir=data, num_workers=engines, folders={"wcgb": data},
            endpoint=Endpoint(url=url or "none", concurrency=16),
        ),
        name="demo", checkpoint="demo", engine=EngineConfig(kind="openai" if url else "transformers", model=str(model)),
        limit=NUM, benchmarks={"wcgb": "demo"},
    )  # fmt: skip
    replies, verdicts = Journal(folder / "answers.jsonl"), Journal(folder / "verdicts.jsonl")
    for name, text in (texts or {}).items():
        replies.add(name, text=text, error="")
    start = engine_starter(job)
    ready = deque() if texts else deque(start() for _ in range(engines))
    ray.get([actor.__ray_ready__.remote() for actor in ready])
    benchmarks = {"wcgb": replace(BENCHMARKS["wcgb"], scorer=scorer)}
    num = scorers or num_scorers(job, any_to_ask=not texts)
    folders = {"wcgb": Folders(folder / "pictures", Path(data), kept)}
    kind = Staying if scorers else Scorers
    with Judges(job, {}) as judges, kind(benchmarks, folders, {"wcgb": verdicts}, {"wcgb": num}) as pool:
        actors = pool.actors.get("wcgb", [])
        first = next(samples(job, "wcgb"))
        ray.get([actor.score.remote(first, first.facts["html"]) for actor in actors])
        began = time.perf_counter()
        ask(job, ready.popleft, {"wcgb": replies}, pool, judges, NUM)
        seconds = time.perf_counter() - began
    values = {name: entry["values"] for name, entry in verdicts.entries.items()}
    return Done(seconds, {name: entry["text"] for name, entry in replies.entries.items()}, values)


@contextmanager
def paced(texts: dict[str, str]):
    """The address of an endpoint that answers with these."""
    context = multiprocessing.get_context("spawn")
    pictures = {sample.id: sample.images[0] for sample in BENCHMARKS["wcgb"].load(Path("data"))}
    answers = {digest_of(scaled_png(pictures[name], MAX_SIDE)): text for name, text in texts.items()}
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(answers, PACE, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def everything(model: Path, kept: Path) -> Done:
    """Once, uncounted: what all ways are to find; the references are rendered from here on."""
    with session(), tempfile.TemporaryDirectory() as folder:
        return evaluate(Path(folder), kept, model, Keeper)


@contextmanager
def session():
    """Ray, and an end of it."""
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


def one_round(model: Path, deep: Path, kept: Path, known: Done) -> dict[str, float]:
    """The seconds of every way; what they give is what is known."""
    scorer = BENCHMARKS["wcgb"].scorer
    texts = known.texts
    seconds = {}
    with session(), paced(texts) as url:
        ways: dict[str, dict[str, Any]] = {
            "answers": {"scorer": None},
            "renderings": {"scorer": Renderer, "texts": texts},
            "scores": {"scorer": Keeper, "texts": texts},
            "at once": {"scorer": scorer},
            "answers of a deeper model": {"scorer": None, "model": deep},
            "at once with a deeper model": {"scorer": scorer, "model": deep},
            "answers of two engines": {"scorer": None, "engines": 2},
            "answers of an endpoint": {"scorer": None, "url": url},
            "at once with an endpoint": {"scorer": scorer, "url": url},
            "renderings and scores of one scorer": {"scorer": scorer, "texts": texts, "scorers": 1},
            "renderings and scores of two scorers": {"scorer": scorer, "texts": texts, "scorers": 2},
        }
        for name, options in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                done = evaluate(Path(folder), kept, **{"model": model} | options)
            assert done.texts == texts, f"{name}: other answers"
            if name == "scores" or options["scorer"] is scorer:
                assert done.values == known.values, f"{name}: other scores"
            seconds[name] = done.seconds
            print(f"{name:<40} {done.seconds:7.2f} s", flush=True)
    return seconds


def main() -> None:
    """All ways in turns."""
    model, arms = demo_model(), dict[str, Arm]()
    with tempfile.TemporaryDirectory() as kept, tempfile.TemporaryDirectory() as copies:
        deep = deeper(model, Path(copies) / "deeper")
        _, _, known = apart(partial(everything, model, Path(kept)))
        for number in range(ROUNDS):
            print(f"round {number + 1}", flush=True)
            _, _, seconds = apart(partial(one_round, model, deep, Path(kept), known))
            for name, took in seconds.items():
                arms.setdefault(name, Arm(name)).seconds.append(took)
    report("Parts of an evaluation", NUM, "pages", arms)
    median = {name: arm.median for name, arm in arms.items()}
    slowest, deepest, behind = (
        max(median[name] for name in (f"answers{whose}", "renderings", "scores"))
        for whose in ("", " of a deeper model", " of an endpoint")
    )
    one, two = median["renderings and scores of one scorer"], median["renderings and scores of two scorers"]
    print(
        f"at once {median['at once'] / slowest:.2f} of the slowest part alone, with a deeper model "
        f"{median['at once with a deeper model'] / deepest:.2f}, with an endpoint "
        f"{median['at once with an endpoint'] / behind:.2f}; two engines "
        f"{median['answers'] / median['answers of two engines']:.2f} times one, two scorers {one / two:.2f} times one"
    )


if __name__ == "__main__":
    main()

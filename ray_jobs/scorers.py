"""Scores pages on the cluster's cores while engines write the next ones, and never lets an engine wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import ray

from web2code.evaluation.benchmarks.benchmark import Benchmark, PageScorer, Sample, Verdict
from web2code.evaluation.journal import Journal

# A scorer has browsers of its own, and threads that keep them busy.
THREADS = 4


class ScorerActor:
    """A benchmark's scorer in a process of its own."""

    def __init__(self, make: Callable[[Path, Path], PageScorer], pictures: Path, files: Path) -> None:
        self.scorer = make(pictures, files)

    def score(self, sample: Sample, text: str) -> Verdict:
        """What an answer is worth."""
        return self.scorer.score(sample, text)

    def close(self) -> None:
        """End its browsers."""
        self.scorer.close()


class Scorers:
    """Scorers for those benchmarks whose answers are pages; each verdict is kept in a journal as it comes.

    Args:
        files: by benchmark, the folder of its files.
        folder: where the pictures of answers go, in one folder for each benchmark.
        journals: by benchmark, verdicts by sample.
    """

    def __init__(
        self,
        benchmarks: dict[str, Benchmark],
        files: dict[str, str],
        folder: Path,
        journals: dict[str, Journal],
        num: int = 0,
    ) -> None:
        self.journals, self.benchmarks = journals, benchmarks
        self.running: dict[Any, tuple[str, str, Any]] = {}
        num = num or max(1, int(ray.cluster_resources().get("CPU", 1)))
        actor = ray.remote(num_cpus=0.25, max_concurrency=THREADS, max_restarts=-1, max_task_retries=1)(ScorerActor)
        self.actors = {
            name: [actor.remote(benchmark.scorer, folder / name, Path(files[name])) for _ in range(num)]
            for name, benchmark in benchmarks.items()
            if benchmark.scorer
        }

    def __enter__(self) -> Scorers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        every = [actor for actors in self.actors.values() for actor in actors]
        if every:
            ray.wait([actor.close.remote() for actor in every], num_returns=len(every), timeout=30)

    def take(self, asked: str, sample: Sample, text: str) -> None:
        """Have an answer scored by every benchmark that scores the answers of `asked`, where it has not done so yet."""
        for name, actors in self.actors.items():
            if asked in (name, self.benchmarks[name].answers_of) and sample.id not in self.journals[name]:
                load = Counter(actor for *_, actor in self.running.values())
                actor = min(actors, key=load.__getitem__)
                self.running[actor.score.remote(sample, text)] = (name, sample.id, actor)
        self.collect(wait=False)

    def collect(self, wait: bool = True) -> int:
        """Write down finished verdicts, or with `wait` all of them; returns how many are still running."""
        while self.running:
            done, _ = ray.wait(list(self.running), num_returns=1, timeout=None if wait else 0)
            if not done:
                break
            name, key, _ = self.running.pop(done[0])
            verdict = asdict(ray.get(done[0]))
            self.journals[name].add(key, **{field: verdict[field] for field in ("outcome", "values", "reason")})
        return len(self.running)

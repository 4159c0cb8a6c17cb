"""Models that judge answers while others are still generated and scored."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from web2code.config import BenchmarkJob, digest
from web2code.evaluation.benchmarks import BENCHMARKS
from web2code.evaluation.benchmarks.benchmark import Answered, Benchmark, Verdict
from web2code.evaluation.results import Spent
from web2code.progress import report

if TYPE_CHECKING:
    from web2code.endpoint import Client

# What waits for answers looks for them so often.
LOOK_SECONDS = 0.1


class Judges:
    """Judges of some benchmarks: what several models say of an answer is joined; what one failed of ends all.

    The benchmarks share one pool of threads, so that the endpoint is never asked more at once than it may be, and by
    model one client, whose meter and limits are thus those of the whole evaluation.

    Args:
        answers: by benchmark, its answers in any order; None says that no further one is there yet.
    """

    def __init__(self, job: BenchmarkJob, answers: Mapping[str, Iterable[Answered | None]]) -> None:
        self.job, self.clients = job, clients_of(job) if answers else {}
        self.num_judged: Counter[str] = Counter()
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.reason: BaseException = RuntimeError("the evaluation ended")
        self.pool = ThreadPoolExecutor(job.where.judge.concurrency)
        self.feeders = ThreadPoolExecutor(max(1, len(answers)))
        self.judged = {name: self._submit(self.feeders, self._feed, name, found) for name, found in answers.items()}

    def __enter__(self) -> Judges:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self.feeders.shutdown()
        self.pool.shutdown()

    def check(self, seconds: float = 0.0) -> None:
        """Raise what some judge failed of, where it did so before now or within some seconds.

        Raises:
            EndpointError: the endpoint does not work, or has cost as much as it may; judging again goes on from there.
        """
        if self.ended.wait(seconds):
            raise self.reason

    def verdicts(self, name: str) -> dict[str, Verdict]:
        """What was said of a benchmark's answers, by sample, once all are judged; nothing where no model judges."""
        judged = self.judged[name].result() if name in self.judged else []
        return {verdict.id: verdict for verdict in (one.result() for one in judged)}

    def titled(self, benchmark: Benchmark) -> Benchmark:
        """The benchmark, with its judges in its title where it has some, once they have judged."""
        judge = self.job.judge
        if not judge or benchmark.name not in self.judged:
            return benchmark
        times = f", {judge.repeats} replies each" if judge.repeats > 1 else ""
        changed = sorted({name for client in self.clients.values() for name in client.not_taken})
        without = f", without {' and '.join(changed)}" if changed else ""
        return replace(benchmark, title=f"{benchmark.title} ({', '.join(self.clients)}{times}{without})")

    def spent(self) -> dict[str, Spent]:
        """By model, what it was asked for this evaluation, in this run and those before."""
        meters = {model: client.spent for model, client in self.clients.items()}
        return {
            model: Spent(
                requests=meter.asked, input_tokens=meter.input_tokens, output_tokens=meter.output_tokens,
                cost=meter.cost,
            )
            for model, meter in meters.items()
        }  # fmt: skip

    def _submit(self, pool: ThreadPoolExecutor, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future = pool.submit(work, *arguments)
        future.add_done_callback(self._note)
        return future

    def _note(self, done: Future[Any]) -> None:
        with self.lock:
            if (error := done.exception()) and not self.ended.is_set():
                self.reason = error
                self.ended.set()

    def _feed(self, name: str, answers: Iterable[Answered | None]) -> list[Future[Verdict]]:
        """Have a benchmark's answers judged as they come; only few are held at once, for they have pictures."""
        judged: list[Future[Verdict]] = []
        held = 2 * self.job.where.judge.concurrency
        for one in answers:
            if one is None:
                self.check(LOOK_SECONDS)
                continue
            judged.append(self._submit(self.pool, self._judge, name, one))
            if len(judged) >= held:
                judged[-held].result()
        return judged

    def _judge(self, name: str, one: Answered) -> Verdict:
        from web2code.evaluation.judges.ensemble import joined  # heavy, and not needed without such a judge

        self.check()
        settings, model_judge = self.job.judge, BENCHMARKS[name].model_judge
        assert settings, name
        assert model_judge, name
        verdict = joined({model: model_judge(client, settings, one) for model, client in self.clients.items()})
        with self.lock:
            self.num_judged[name] += 1
            meters = "; ".join(str(client.meter) for client in self.clients.values())
            report(f"judge {name}", self.num_judged[name], None, meters)
        return verdict


def clients_of(job: BenchmarkJob) -> dict[str, Client]:
    """By model, what asks it; what it said of an answer before, it is not asked again."""
    from web2code.endpoint import Client  # heavy: nobody else here asks an endpoint

    judge, cache = job.judge, Path(job.where.home) / "cache" / "judged"
    assert judge, job.benchmarks
    return {
        model: Client(
            "judge", job.where.judge, model, judge.temperature, judge.max_tokens, cache, alike=True,
            paid=Path(job.output()) / f"paid-{digest([job.where.judge.url, model])[:16]}.jsonl",
        )
        for model in judge.models
    }  # fmt: skip

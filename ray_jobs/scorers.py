"""Scores pages on the cluster's cores while engines write the next ones, and never lets an engine wait."""

from __future__ import annotations

import contextlib
import os
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import count, cycle, islice
from types import TracebackType
from typing import Any

import psutil
import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ray_jobs.deadline import Deadline
from ray_jobs.deaths import reason_of, was_taken_away
from web2code.evaluation.benchmarks.benchmark import SCORER_RAISED, Benchmark, Folders, PageScorer, Sample, Verdict
from web2code.evaluation.journal import Journal

# A scorer has browsers of its own, and threads that keep them busy.
THREADS = 4
# Engines, whose processes have 15, go before.
NICENESS = 19
# Of scorers, or errors in them, since one last gave a verdict; each that a page caused tells of that page, so that
# asking again goes on.
MAX_DEATHS = 16
CLOSE_SECONDS = 30
# The last resort, more than four pages at once take on one core: rendering, and what is computed, have limits as well.
PAGE_SECONDS = 900.0
# Calls that wait behind no answer, and those before there are answers; of these so many wait at most.
AT_ONCE, AHEAD = "at once", "ahead"
MOST_AHEAD = 64


class ScorerActor:
    """A benchmark's scorer in a process of its own, which stays on one core with its browsers while engines use others.

    A browser is many processes that wait for each other: on one core they take a seventh less time.
    """

    def __init__(self, make: Callable[[Folders], PageScorer], folders: Folders, core: int, seconds: float) -> None:
        own = psutil.Process()
        self.cores = own.cpu_affinity() if hasattr(own, "cpu_affinity") else []
        settle(own, [self.cores[-1 - core % len(self.cores)]] if self.cores else [])
        self.scorer, self.deadline = make(folders), Deadline(seconds)

    def prepare(self, sample: Sample) -> None:
        """Do what any answer needs."""
        self.scorer.prepare(sample)

    def score(self, sample: Sample, text: str) -> Verdict:
        """What an answer is worth; one that takes too long ends this process."""
        with self.deadline.watch():
            return self.scorer.score(sample, text)

    def call(self, name: str, *arguments: Any) -> Any:
        """What another method of the scorer returns."""
        return getattr(self.scorer, name)(*arguments)

    def spread(self) -> None:
        """Use every core from now on."""
        own = psutil.Process()
        for process in [own, *own.children(recursive=True)]:
            settle(process, self.cores)

    def close(self) -> None:
        """End its browsers."""
        self.scorer.close()


def settle(process: psutil.Process, cores: list[int]) -> None:
    """Put every thread of a process behind engines, and on these cores; what it starts inherits both."""
    with contextlib.suppress(psutil.Error):  # processes and threads end at any time
        for thread in process.threads():
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, thread.id, NICENESS)
                if cores:
                    os.sched_setaffinity(thread.id, cores)


@dataclass(frozen=True)
class Task:
    """An answer that some scorer of a benchmark has been given; `alone` says that this scorer has no other."""

    name: str
    sample: Sample
    text: str
    actor: Any
    alone: bool = False


@dataclass(frozen=True)
class Place:
    """A core of a machine, counted from its last."""

    node: str
    core: int


def places() -> list[Place]:
    """The cores of the cluster, of every machine in turn."""
    nodes = [(node["NodeID"], int(node["Resources"].get("CPU", 1))) for node in ray.nodes() if node["Alive"]]
    found = [Place(node, core) for node, cores in nodes for core in range(max(1, cores))]
    return sorted(found, key=lambda place: place.core)


def end(actors: list[Any]) -> None:
    """End scorers and their browsers, also those that something still refers to: they hold what training waits for."""
    if actors:
        ray.wait([actor.close.remote() for actor in actors], num_returns=len(actors), timeout=CLOSE_SECONDS)
    for actor in actors:
        ray.kill(actor)


class Scorers:
    """Scorers for those benchmarks whose answers are pages; each verdict is kept in a journal as it comes.

    A scorer that dies is replaced. What it may have died of, or what one raised an error for, is scored again, one
    answer after another, each by a scorer of its own: one that ends that one too, or has it raise an error, is told by
    its verdict. Errors become verdicts where a benchmark has a score: before, the machine may lack what all need.

    Args:
        folders: by benchmark, where its scorers work.
        journals: by benchmark, verdicts by sample.
        nums: by benchmark, how many scorers it has; none where no answer waits for a verdict.
    """

    def __init__(
        self,
        benchmarks: dict[str, Benchmark],
        folders: dict[str, Folders],
        journals: dict[str, Journal],
        nums: dict[str, int],
    ) -> None:
        self.benchmarks = {name: benchmark for name, benchmark in benchmarks.items() if benchmark.scorer}
        self.folders, self.journals, self.places = folders, journals, places()
        self.actors = {
            name: [self._start(name, place) for place in islice(cycle(self.places), nums[name])]
            for name in self.benchmarks
        }
        self.running: dict[Any, Task] = {}
        self.ahead: list[Any] = []
        self.turn = count()
        self.suspects: deque[Task] = deque()
        self.deaths = 0
        self.raised: dict[str, list[Verdict]] = defaultdict(list)

    def __enter__(self) -> Scorers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        alone = [task.actor for task in self.running.values() if task.alone]
        end([*alone, *(actor for actors in self.actors.values() for actor in actors)])
        if not error:
            self._require_scores()

    def prepare(self, samples: Iterator[tuple[str, Sample]]) -> None:
        """Have scorers do ahead what they can, of as many samples as they keep up with; each with what asks for it.

        One that dies of it is replaced once it is to score something.
        """
        if self.ahead:
            _, self.ahead = ray.wait(self.ahead, num_returns=len(self.ahead), timeout=0)
        for asked, sample in islice(samples, max(0, MOST_AHEAD - len(self.ahead))):
            for name in self._waiting(asked, sample):
                actor = self.actors[name][next(self.turn) % len(self.actors[name])]
                self.ahead.append(actor.prepare.options(concurrency_group=AHEAD).remote(replace(sample, images=())))

    def take(self, asked: str, sample: Sample, text: str) -> None:
        """Have an answer scored by every benchmark that scores the answers of `asked`, where it has not done so yet."""
        told = replace(sample, images=())  # a scorer renders the reference
        for name in self._waiting(asked, sample):
            self._give(name, told, text)
        self.collect(wait=False)

    def spread(self) -> None:
        """Have scorers use the cores that engines have left, where those were not theirs as well."""
        for actors in self.actors.values():
            if len(actors) < len(self.places):
                for actor in actors:
                    actor.spread.options(concurrency_group=AT_ONCE).remote()

    def collect(self, wait: bool = True) -> int:
        """Write down finished verdicts, or with `wait` all of them; returns how many are still running."""
        while self.running:
            done, _ = ray.wait(list(self.running), num_returns=1, timeout=None if wait else 0)
            if not done:
                break
            self._finish(done[0])
        return len(self.running) + len(self.suspects)

    def _waiting(self, asked: str, sample: Sample) -> list[str]:
        """The benchmarks that score the answers of `asked` and have no verdict on this sample's yet."""
        return [
            name
            for name, benchmark in self.benchmarks.items()
            if asked in (name, benchmark.answers_of) and sample.id not in self.journals[name]
        ]

    def _start(self, name: str, place: Place) -> Any:
        # No core is claimed: however many scorers there are, engines find the room that was looked for. An actor that
        # claims nothing at all Ray puts on any machine, whatever place it is to have.
        where = NodeAffinitySchedulingStrategy(place.node, soft=True)
        groups = {AT_ONCE: 1, AHEAD: THREADS}
        actor = ray.remote(
            num_cpus=0, memory=1, max_concurrency=THREADS, concurrency_groups=groups, scheduling_strategy=where
        )(ScorerActor)  # fmt: skip
        return actor.remote(self.benchmarks[name].scorer, self.folders[name], place.core, PAGE_SECONDS)

    def _give(self, name: str, sample: Sample, text: str) -> None:
        load = Counter(id(task.actor) for task in self.running.values())
        actor = min(self.actors[name], key=lambda one: load[id(one)])
        self.running[actor.score.remote(sample, text)] = Task(name, sample, text, actor)

    def _keep(self, name: str, verdict: Verdict) -> None:
        fields = asdict(verdict)
        self.journals[name].add(verdict.id, **{field: fields[field] for field in ("outcome", "values", "reason")})

    def _finish(self, ref: Any) -> None:
        task = self.running[ref]
        try:
            verdict = ray.get(ref)
        except RayActorError as error:
            if getattr(error, "actor_init_failed", False):
                raise RuntimeError(f"a scorer does not start: {reason_of(error)}") from None
            self._take_death(ref, task, error)
        except RayTaskError as error:
            self._take_error(ref, task, error)
        else:
            self.deaths = 0
            del self.running[ref]
            self._keep(task.name, verdict)
            self._keep_raised(task.name)
            if task.alone:
                end([task.actor])
        self._isolate()

    def _take_death(self, ref: Any, task: Task, error: RayActorError) -> None:
        """Name what a scorer died of where it had nothing else, or put another in its place; not without end."""
        reason = reason_of(error)
        if task.alone:
            del self.running[ref]
            if was_taken_away(error):
                self.suspects.appendleft(task)
            else:
                what = f"the page ended its scorer, or took it more than {PAGE_SECONDS:g} s"
                self._keep(task.name, Verdict(task.sample.id, "failed", reason=f"{what}: {reason[:200]}"))
            end([task.actor])
        else:
            self._replace(task.name, task.actor)
        self._count(reason)

    def _take_error(self, ref: Any, task: Task, error: RayTaskError) -> None:
        """Name what a scorer of its own raised an error for, or give it one."""
        del self.running[ref]
        if not task.alone:
            self.suspects.append(task)
            return
        end([task.actor])
        reason = " ".join(f"{type(error.cause).__name__}: {error.cause}".split())[:200]
        self.raised[task.name].append(Verdict(task.sample.id, "failed", reason=f"{SCORER_RAISED} {reason}"))
        self._keep_raised(task.name)
        self._count(reason)

    def _keep_raised(self, name: str) -> None:
        """Write down what scorers raised errors for, once there is a score."""
        entries = self.journals[name].entries.values() if name in self.raised else ()
        if any(entry["outcome"] == "scored" for entry in entries):
            for verdict in self.raised.pop(name):
                self._keep(name, verdict)

    def _require_scores(self) -> None:
        for name, verdicts in self.raised.items():
            told = f"{verdicts[0].id}: {verdicts[0].reason}"
            raise RuntimeError(f"{name}: no answer has a score, and for {len(verdicts)} there was an error; {told}")

    def _count(self, reason: str) -> None:
        """One more death or error; not without end."""
        self.deaths += 1
        times = max([self.deaths, *map(len, self.raised.values())])
        if times > MAX_DEATHS:
            raise RuntimeError(f"scorers failed {times} times without a verdict; the last time: {reason}")

    def _isolate(self) -> None:
        """Give the next suspect to a scorer of its own, once the one before is done with."""
        if self.suspects and not any(task.alone for task in self.running.values()):
            task = self.suspects.popleft()
            actor = self._start(task.name, self.places[0])
            self.running[actor.score.remote(task.sample, task.text)] = replace(task, actor=actor, alone=True)

    def _replace(self, name: str, dead: Any) -> None:
        """Put another scorer in the place of a dead one; what that had begun is under suspicion."""
        ray.kill(dead)
        number = self.actors[name].index(dead)
        self.actors[name][number] = self._start(name, self.places[number % len(self.places)])
        unfinished = []
        for ref in [ref for ref, task in self.running.items() if task.actor is dead]:
            task = self.running.pop(ref)
            try:
                self._keep(name, ray.get(ref))
                self.deaths = 0
            except (RayActorError, RayTaskError):
                unfinished.append(task)
        self.suspects.extend(unfinished[:THREADS])
        for task in unfinished[THREADS:]:
            self._give(name, task.sample, task.text)

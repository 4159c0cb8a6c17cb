"""Engines on the cluster: all are kept busy, and a request that ends one is found and named."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import RayError

from ray_jobs.deaths import reason_of, was_taken_away
from ray_jobs.imports import loading
from ray_jobs.room import require_room, resources_of
from web2code.config import BenchmarkJob, Where
from web2code.endpoint_errors import EndpointError
from web2code.evaluation.engines import engine as seam
from web2code.evaluation.engines import vllm
from web2code.evaluation.engines.engine import Engine, Inbox, Reply, Request

# Of each engine; most of what it does otherwise is to wait for its model, or for a GPU.
CPUS = 0.5
# Requests that an engine holds: enough that it never waits for more, few enough that their pictures fit into memory.
WINDOW = 256
# Bundles that go to an engine in one call: each call takes a millisecond of the process that answers.
PARCEL = 16
# What an engine was doing when it died is asked again in bundles of so much less.
NARROWER = 8
# While engines write, whoever waits for them looks so often after something else.
MEANWHILE_SECONDS = 0.2
# Of an engine, since it last answered; each that one request caused names it, so that asking again goes on.
MAX_DEATHS = 16
# transformers imports it for assisted decoding alone, which is not done here, and takes 1.5 times as long with it.
UNUSED = "sklearn"


class EngineActor:
    """An engine in a process of its own; one thread answers while another takes requests."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self.engine, self.inbox = make(), Inbox()

    def put(self, bundles: list[list[Request]]) -> None:
        """Take bundles of requests that may be answered together."""
        for bundle in bundles:
            self.inbox.put(bundle)

    def replies(self) -> Iterator[list[Reply]]:
        """Replies as they are finished, one or several at a time, with what gave them."""
        for replies in self.engine.stream(self.inbox):
            version = self.engine.version()
            yield [replace(reply, engine=version) for reply in replies]


def require_engines(num: int, where: Where) -> None:
    """Nothing, where so many engines run side by side on the cluster.

    Raises:
        ValueError: it has no room for them; those without a place would never answer what they are given.
    """
    require_room(num, resources_of(CPUS, where.gpus_per_worker), "engines", where.start_seconds)


def engine_starter(job: BenchmarkJob) -> Callable[[], Any]:
    """What starts an engine of a job in a process of its own; what engines are made from is prepared once.

    vLLM lives in another environment, which needs Ray, and this project for CrystalCoder alone: what the actor consists
    of travels with it.
    """
    gpus = job.where.gpus_per_worker

    @cache
    def prepared() -> tuple[Callable[[], Engine], dict[str, Any]]:
        if job.engine.kind != "vllm":
            # Processes of a cluster that ran before have its environment, not this one's.
            key = os.environ.get(job.where.endpoint.key_variable, "")
            return partial(load_engine, job, "cuda" if gpus else "cpu", key), {}
        from web2code.evaluation.engines import serving  # heavy: what exports a checkpoint brings torch

        for module in (sys.modules[__name__], seam, vllm):
            cloudpickle.register_pickle_by_value(module)
        arguments = serving.vllm_arguments(job.engine, Path(job.where.home), gpus)
        environment = {"py_executable": serving.vllm_python(), "env_vars": serving.vllm_variables(gpus)}
        return partial(vllm.VllmEngine, **arguments), environment

    def start() -> Any:
        make, environment = prepared()
        actor = ray.remote(num_cpus=CPUS, num_gpus=gpus, max_concurrency=3, runtime_env=environment)(EngineActor)
        return actor.remote(make)

    return start


def window(job: BenchmarkJob, bundle: int) -> int:
    """Requests that an engine of a job holds: of one that answers bundle after bundle, a bundle and the next.

    So several of them end at about the same time.
    """
    return 2 * bundle if job.engine.kind == "transformers" else WINDOW


def load_engine(job: BenchmarkJob, device: str, key: str = "") -> Engine:
    """An engine of this environment, in the process that it will live in; `key` is the endpoint's, if it needs one."""
    if job.engine.kind == "openai":
        from web2code.evaluation.engines.openai import OpenAIEngine

        if key:
            os.environ[job.where.endpoint.key_variable] = key
        return OpenAIEngine(job.where.endpoint, job.engine.model, Path(job.output()) / "replies")
    with loading(UNUSED):
        from web2code.evaluation.engines.transformers import TransformersEngine

    return TransformersEngine(job.engine.model, device, job.engine.dtype, job.engine.max_length, job.engine.revision)


@dataclass
class Seat:
    """One engine with what it has been asked and what it is to be asked alone."""

    actor: Any
    stream: Any
    unsent: list[list[Request]] = field(default_factory=list)
    asked: dict[str, Request] = field(default_factory=dict)
    again: deque[list[Request]] = field(default_factory=deque)
    deaths: int = 0


def answer(
    start: Callable[[], Any],
    num: int,
    bundles: Iterable[list[Request]],
    meanwhile: Callable[[], object] = lambda: None,
    window: int = WINDOW,
) -> Iterator[Reply]:
    """A reply to every request, in the order in which they are finished, from at most `num` engines.

    Each holds `window` requests. An engine that dies is started again. What it had been asked is asked again in smaller
    and smaller bundles, until the request that ends it stands alone: that one's reply says so. `meanwhile` is called
    again and again until the next reply is there; what it raises ends all.

    Raises:
        RuntimeError: an engine does not start, or dies too often.
        EndpointError: what answers is an endpoint, and it does not work.
    """
    source = iter(bundles)
    first = list(islice(source, num))
    source = chain(first, source)
    seats = [seat(start) for _ in first]  # none without work: what is killed while it starts may keep its place
    try:
        while True:
            while any([fill(one, source, window) for one in seats]):
                pass  # a bundle each in turn, until all have what they may hold
            for one in seats:
                send(one)
            busy = [one for one in seats if one.asked]
            if not busy:
                return
            ready, _ = ray.wait([one.stream for one in busy], num_returns=1, timeout=MEANWHILE_SECONDS)
            if not ready:
                meanwhile()
                continue
            one = next(one for one in busy if one.stream is ready[0])
            try:
                replies = ray.get(next(one.stream))
            except EndpointError:
                raise  # another engine would ask the same endpoint
            except (RayError, StopIteration) as error:
                yield from revive(one, start, error)
                continue
            for reply in replies:
                one.asked.pop(reply.key, None)
            one.deaths = 0
            yield from replies
    finally:
        for one in seats:
            ray.kill(one.actor)


def seat(start: Callable[[], Any]) -> Seat:
    """A new engine, with its stream of replies."""
    actor = start()
    return Seat(actor, actor.replies.options(num_returns="streaming").remote())


def fill(one: Seat, source: Iterator[list[Request]], window: int) -> bool:
    """Have one more bundle for an engine that may hold it; after a death, only when the one before is answered."""
    if one.again:
        bundle = None if one.asked else one.again.popleft()
    else:
        bundle = next(source, None) if len(one.asked) < window else None
    if bundle:
        one.asked |= {request.key: request for request in bundle}
        one.unsent.append(bundle)
        if len(one.unsent) == PARCEL:
            send(one)
    return bundle is not None


def send(one: Seat) -> None:
    """Put to an engine what there is for it."""
    if one.unsent:
        one.actor.put.remote(one.unsent)
        one.unsent = []


def revive(one: Seat, start: Callable[[], Any], error: Exception) -> Iterator[Reply]:
    """Start a dead engine again, and narrow down what it died of."""
    suspects = list(one.asked.values())
    reason = reason_of(error)
    if getattr(error, "actor_init_failed", False):
        raise RuntimeError(f"the engine does not start: {reason}")
    one.asked, one.deaths = {}, one.deaths + 1
    if len(suspects) == 1 and not was_taken_away(error):
        yield Reply(suspects[0].key, error=f"the engine died while it answered this: {reason[:200]}")
    else:
        size, rest = max(1, len(suspects) // NARROWER), iter(suspects)
        one.again = deque(iter(lambda: list(islice(rest, size)), [])) + one.again
    if one.deaths > MAX_DEATHS:
        raise RuntimeError(f"an engine died {one.deaths} times without an answer; the last time: {reason}")
    ray.kill(one.actor)
    fresh = seat(start)
    one.actor, one.stream = fresh.actor, fresh.stream

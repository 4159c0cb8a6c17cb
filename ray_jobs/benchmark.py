"""Ask a model what benchmarks ask, and score answers while it writes on: `python -m ray_jobs.benchmark JOB.json`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import ray

from ray_jobs.engines import answer, start_engine
from ray_jobs.scorers import Scorers
from web2code.config import BenchmarkJob, code_digest, digest
from web2code.evaluation.benchmarks import BENCHMARKS
from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.engines.engine import Request
from web2code.evaluation.journal import Journal
from web2code.evaluation.results import Row, Scores, make_row, write_benchmark
from web2code.progress import report

# Requests that are answered together where an engine batches them: always the same ones, whatever was done before.
BUNDLE = {"vllm": 1, "transformers": 16, "openai": 1}


def main(job: BenchmarkJob) -> Scores:
    """Evaluate the model on every benchmark; what is answered or scored already is not asked again.

    Raises:
        ValueError: files of a benchmark are missing or damaged, or two of its samples have one name.
    """
    out = Path(job.output())
    total = sum(count(job, name) for name in job.benchmarks)
    replies = Journal(out / f"answers-{answers_digest(job)}.jsonl")
    verdicts = Journal(out / f"verdicts-{job.fingerprint()}.jsonl")
    benchmarks = {name: BENCHMARKS[name] for name in job.benchmarks}
    with Scorers(benchmarks, out / "renderings", verdicts) as scorers:
        asked: dict[str, tuple[str, Sample]] = {}
        bundles = to_ask(job, replies, scorers, asked)
        for reply in answer(partial(start_engine, job), max(1, job.where.num_workers), bundles):
            replies.add(reply.key, text=reply.text, error=reply.error)
            if not reply.error:
                scorers.take(*asked[reply.key], reply.text)
            del asked[reply.key]
            report("answer", len(replies), total, f"{scorers.collect(wait=False)} to score")
        scorers.collect()
    return write(job, replies, verdicts)


def answers_digest(job: BenchmarkJob) -> str:
    """What the answers depend on: the model and the files, and not how they are scored."""
    return digest([job.checkpoint, job.engine.model_dump(), job.benchmarks, code_digest(("modelling",))])[:16]


def samples(job: BenchmarkJob, name: str) -> Iterator[Sample]:
    """The samples of a benchmark, as many as are wanted."""
    return islice(iter(BENCHMARKS[name].load(Path(job.where.folders[name]))), job.limit or None)


def count(job: BenchmarkJob, name: str) -> int:
    """How many samples there are; each is read once before any engine starts, so that a bad file costs no GPU time."""
    seen: set[str] = set()
    for sample in samples(job, name):
        if sample.id in seen:
            raise ValueError(f"{name}: two samples in {job.where.folders[name]} are called {sample.id}: fetch it again")
        seen.add(sample.id)
    if not seen:
        raise ValueError(f"{name}: {job.where.folders[name]} holds no sample; it should hold {BENCHMARKS[name].fetch}")
    return len(seen)


def to_ask(
    job: BenchmarkJob, replies: Journal, scorers: Scorers, asked: dict[str, tuple[str, Sample]]
) -> Iterator[list[Request]]:
    """Bundles of requests that are not answered yet; what is answered goes straight to the scorers.

    A bundle that was answered in part is asked again as a whole, where an engine answers it in batches: an answer may
    depend on its batch in the last bits.
    """
    for name in job.benchmarks:
        found = samples(job, name)
        while bundle := list(islice(found, BUNDLE[job.engine.kind])):
            keys = [f"{name}/{sample.id}" for sample in bundle]
            if all(key in replies for key in keys):
                for key, sample in zip(keys, bundle, strict=True):
                    if not replies[key]["error"]:
                        scorers.take(name, sample, replies[key]["text"])
                continue
            asked |= {key: (name, sample) for key, sample in zip(keys, bundle, strict=True)}
            yield [
                Request(key, sample.images, sample.prompt, sample.max_new_tokens)
                for key, sample in zip(keys, bundle, strict=True)
            ]


def write(job: BenchmarkJob, replies: Journal, verdicts: Journal) -> Scores:
    """The rows of every benchmark, and `scores.json`."""
    out = Path(job.output())
    scores = Scores(
        model=job.name, checkpoint=job.checkpoint, engine=job.engine.kind, precision=job.engine.dtype,
        evaluator=job.fingerprint(), code=code_digest(job.code), seed=job.seed,
        date=datetime.now(UTC).isoformat(timespec="seconds"), hardware=hardware(),
        bootstrap_samples=job.bootstrap_samples,
    )  # fmt: skip
    for name, dataset in job.benchmarks.items():
        rows = [row(out, name, sample, replies[f"{name}/{sample.id}"], verdicts) for sample in samples(job, name)]
        scores = write_benchmark(out, BENCHMARKS[name], rows, scores, dataset)
    return scores


def row(out: Path, name: str, sample: Sample, reply: dict[str, Any], verdicts: Journal) -> Row:
    """One sample with what came of it."""
    key, picture = f"{name}/{sample.id}", out / "renderings" / name / f"{sample.id}.png"
    verdict = verdict_on(BENCHMARKS[name], sample, reply, verdicts.entries.get(key, {}))
    return make_row(out, sample, reply["text"], verdict, picture.read_bytes() if picture.exists() else b"")


def verdict_on(benchmark: Benchmark, sample: Sample, reply: dict[str, Any], kept: dict[str, Any]) -> Verdict:
    """What an answer is worth: what its scorer said, or what the benchmark's judge says of it."""
    if reply["error"]:
        return Verdict(sample.id, "no_answer", reason=reply["error"])
    if benchmark.judge is None:
        return Verdict(sample.id, kept["outcome"], kept["values"], kept["reason"])
    return benchmark.judge(sample, reply["text"])


def hardware() -> str:
    """What the engines ran on."""
    resources = ray.cluster_resources()
    names = [name.removeprefix("accelerator_type:") for name in resources if name.startswith("accelerator_type:")]
    return f"{resources.get('GPU', 0):g} GPUs {' '.join(names)}".strip() + f", {resources.get('CPU', 0):g} CPUs"


if __name__ == "__main__":
    ray.init()
    scores = main(BenchmarkJob.model_validate_json(Path(sys.argv[1]).read_text()))
    print(scores.model_dump_json())

"""Ask a model what benchmarks ask, and score answers while it writes on: `python -m ray_jobs.benchmark JOB.json`."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import ray

from ray_jobs.engines import WINDOW, answer, engine_starter, require_engines, window
from ray_jobs.judges import LOOK_SECONDS, Judges
from ray_jobs.scorers import Scorers
from web2code.artifacts import publish, read_record
from web2code.benchmark_folders import require_sample
from web2code.config import BenchmarkJob, code_digest, digest
from web2code.evaluation.benchmarks import BENCHMARKS
from web2code.evaluation.benchmarks.benchmark import Answered, Benchmark, Folders, Outcome, Sample, Verdict
from web2code.evaluation.engines.engine import Request
from web2code.evaluation.journal import Journal
from web2code.evaluation.results import SCORES, Scores, keep_pictures, make_row, read_scores, write_benchmark
from web2code.progress import report
from web2code.rendering import chromium_version

# Requests that are answered together where an engine batches them: always the same ones, whatever was done before.
BUNDLE = {"vllm": 1, "transformers": 16, "openai": 1}
# What may differ between two evaluations of one model whose scores stand side by side.
CHANGING = ("model", "engine", "date", "hardware", "benchmarks", "judges")
ELSEWHERE = "name another folder with --out"
# How the error of a request begins for which a GPU had no room; another job's share of it may be free by the next run.
OUT_OF_MEMORY = "OutOfMemoryError: "


def main(job: BenchmarkJob) -> Scores:
    """Evaluate the model on every benchmark; what is answered or scored already is not asked again.

    Results among the artifacts are committed, and then whole; a folder that was asked for may get further benchmarks.

    Raises:
        ValueError: files of a benchmark are missing or damaged, two of its samples have one name, the folder of results
            is another model's, or the cluster has no room for the engines.
        EndpointError: the endpoint that answers, or the one that judges, does not work or has cost as much as it may.
    """
    if not job.where.out and (done := read_record(job.output(), Scores)):
        return done
    require_own(job)
    wanted = {name: wanted_answers(job, name) for name in asked_anew(job)}
    for name in job.benchmarks:
        if name not in wanted:  # what looks at another one's answers may need more of its files
            require_sample(name, Path(job.where.folders[name]))
    total = sum(map(len, wanted.values()))
    replies = {name: answers_so_far(job, name, wanted[name]) for name in wanted}
    verdicts = {name: verdicts_so_far(job, name, replies) for name in job.benchmarks}
    benchmarks = {name: BENCHMARKS[name] for name in job.benchmarks}
    any_to_ask = sum(map(len, replies.values())) < total
    if any_to_ask:
        require_engines(job.where.num_workers, job.where)
    most = num_scorers(job, any_to_ask)
    unscored = {name: len(wanted[sources(name)[0]]) - len(verdicts[name].entries) for name in job.benchmarks}
    nums = {name: min(most, num) for name, num in unscored.items()}
    folders = {name: folders_of(job, name) for name in benchmarks}
    judged = {name: to_judge(job, name, replies, verdicts) for name in benchmarks if benchmarks[name].model_judge}
    with Judges(job, judged) as judges:
        with Scorers(benchmarks, folders, verdicts, nums) as scorers:
            ask(job, engine_starter(job), replies, scorers, judges, total)
        found = write(job, replies, verdicts, judges)
    if not job.where.out:
        publish(Path(job.output()), job.output(), found)
    return found


def require_own(job: BenchmarkJob) -> None:
    """Nothing, where what the folder of results holds stands beside what is asked now.

    Raises:
        ValueError: it is of another model or engine, or benchmarks that are not asked now were scored otherwise.
    """
    out = Path(job.output())
    if (out / SCORES).exists():
        require_beside(out, read_scores(out), job)
    for path in out.glob("answers-*-*-*.jsonl"):
        if path.stem.split("-")[2] != model_digest(job):
            told = f"{path} has answers of another model, or by other settings (engine, dtype, max-length)"
            raise ValueError(f"{told} than {job.name} is asked with: {ELSEWHERE}")


def require_beside(out: Path, before: Scores, job: BenchmarkJob) -> None:
    """As `require_own`, for scores that are there."""
    engine = job.engine.kind if job.engine.kind != "openai" else ""  # what a server serves is in `checkpoint`
    if (before.checkpoint, before.precision) != (job.checkpoint, job.engine.dtype) or engine not in before.engine:
        raise ValueError(
            f"{out} holds the results of {before.model} ({before.checkpoint or 'imported'}) by {before.engine}, dtype "
            f"{before.precision}, and not of {job.name} ({job.checkpoint}) by {job.engine.kind}, dtype "
            f"{job.engine.dtype}: {ELSEWHERE}"
        )
    lost = [name for name in before.benchmarks if name not in job.benchmarks]
    if lost and (changed := differing(before, blank_scores(job, ""))):
        raise ValueError(
            f"{out} holds {', '.join(lost)}, scored with another {' and another '.join(changed)}: ask for the same "
            f"benchmarks again as well, or {ELSEWHERE}"
        )


def differing(before: Scores, scores: Scores) -> list[str]:
    """Which settings keep two evaluations of one model from standing side by side."""
    return [
        name for name in Scores.model_fields if name not in CHANGING and getattr(before, name) != getattr(scores, name)
    ]


def folders_of(job: BenchmarkJob, name: str) -> Folders:
    """Where the scorers of a benchmark work; pictures lie apart by the digest of the verdicts that they belong to."""
    pictures = Path(job.output()) / "renderings" / f"{name}-{verdicts_digest(job, name)}"
    return Folders(pictures, Path(job.where.folders[name]), Path(job.where.home) / "cache" / "references")


def num_scorers(job: BenchmarkJob, any_to_ask: bool) -> int:
    """At most one for each of the cluster's cores that no engine needs: one behind an endpoint computes elsewhere."""
    engines = job.where.num_workers if any_to_ask and job.engine.kind != "openai" else 0
    return max(1, int(ray.cluster_resources().get("CPU", 1)) - engines)


def ask(
    job: BenchmarkJob,
    start: Callable[[], Any],
    replies: dict[str, Journal],
    scorers: Scorers,
    judges: Judges,
    total: int,
) -> None:
    """Ask what is not answered yet, and have each answer scored as it comes."""
    asked: dict[str, tuple[str, Sample]] = {}
    coming = rendered_samples(job, scorers)

    def keep_up() -> int:
        judges.check()
        return scorers.collect(wait=False)

    def meanwhile() -> None:
        scorers.prepare(coming)
        keep_up()

    bundles, num = to_ask(job, replies, scorers, asked), job.where.num_workers
    for reply in answer(start, num, bundles, meanwhile, window(job, BUNDLE[job.engine.kind])):
        name, sample = asked.pop(reply.key)
        if sample.id not in replies[name]:
            fields = {"text": reply.text, "error": reply.error, "engine": reply.engine}
            replies[name].add(sample.id, **fields, request=request_digest(sample))
        kept = replies[name][sample.id]
        if not kept["error"]:
            scorers.take(name, sample, kept["text"])
        done = sum(len(journal) for journal in replies.values())
        report("answer", done, total, f"{keep_up()} to score")
    scorers.spread()
    while keep_up():
        time.sleep(LOOK_SECONDS)


def rendered_samples(job: BenchmarkJob, scorers: Scorers) -> Iterator[tuple[str, Sample]]:
    """The samples whose answers are rendered, each with what asks for it; what they show is kept for the results."""
    for name in dict.fromkeys(benchmark.answers_of or name for name, benchmark in scorers.benchmarks.items()):
        for sample in samples(job, name):
            keep_pictures(Path(job.output()), sample)
            yield name, sample


def model_digest(job: BenchmarkJob) -> str:
    """The model and how it is run, wherever its weights lie."""
    return digest([job.checkpoint, job.identity()["engine"]])[:16]


def answers_digest(job: BenchmarkJob, name: str) -> str:
    """What all answers depend on: the model and the files, and not how they are scored."""
    return digest([model_digest(job), job.benchmarks[name], code_digest(("modelling",))])[:16]


def request_digest(sample: Sample) -> str:
    """What one answer depends on besides: all that is asked."""
    pictures = [hashlib.sha256(image).hexdigest() for image in sample.images]
    return digest([sample.prompt, pictures, sample.max_new_tokens])[:16]


def answers_so_far(job: BenchmarkJob, name: str, wanted: dict[str, str]) -> Journal:
    """The answers that are there already, without those to what is no longer asked, or not in these words."""
    journal = Journal(Path(job.output()) / f"answers-{name}-{model_digest(job)}-{answers_digest(job, name)}.jsonl")
    known = journal.entries
    journal.entries = {
        key: known[key]
        for key in wanted
        if key in known and known[key].get("request") == wanted[key] and is_final(job, known[key])
    }
    return journal


def is_final(job: BenchmarkJob, reply: dict[str, Any]) -> bool:
    """Whether there is no use in asking again; what an endpoint or a full GPU did not answer, it may another time."""
    return not reply["error"] or (job.engine.kind != "openai" and not reply["error"].startswith(OUT_OF_MEMORY))


def verdicts_so_far(job: BenchmarkJob, name: str, replies: dict[str, Journal]) -> Journal:
    """The verdicts that are there already on the answers that are, each with its picture."""
    journal = Journal(Path(job.output()) / f"verdicts-{name}-{verdicts_digest(job, name)}.jsonl")
    answers = replies[BENCHMARKS[name].answers_of or name]
    pictures = folders_of(job, name).pictures
    journal.entries = {
        key: entry
        for key, entry in journal.entries.items()
        if key in answers and (entry["outcome"] != "scored" or (pictures / f"{key}.png").exists())
    }
    return journal


def verdicts_digest(job: BenchmarkJob, name: str) -> str:
    """What verdicts depend on: the answers, and how they are scored."""
    return digest([answers_digest(job, name), code_digest(job.code)])[:16]


def asked_anew(job: BenchmarkJob) -> list[str]:
    """The benchmarks that answers are asked for; others judge the answers of one of these."""
    names = dict.fromkeys(BENCHMARKS[name].answers_of or name for name in job.benchmarks)
    return list(names)


def samples(job: BenchmarkJob, name: str) -> Iterator[Sample]:
    """The samples of a benchmark, as many as are wanted."""
    return islice(iter(BENCHMARKS[name].load(Path(job.where.folders[name]))), job.limit or None)


def wanted_answers(job: BenchmarkJob, name: str) -> dict[str, str]:
    """By sample, the digest of what is asked; each is read once before any engine starts: a bad file costs no GPU."""
    wanted: dict[str, str] = {}
    for sample in samples(job, name):
        if sample.id in wanted:
            raise ValueError(f"{name}: two samples in {job.where.folders[name]} are called {sample.id}: fetch it again")
        wanted[sample.id] = request_digest(sample)
    if not wanted:
        raise ValueError(f"{name}: {job.where.folders[name]} holds no sample: {BENCHMARKS[name].fetch}")
    return wanted


def to_ask(
    job: BenchmarkJob, replies: dict[str, Journal], scorers: Scorers, asked: dict[str, tuple[str, Sample]]
) -> Iterator[list[Request]]:
    """Bundles of requests that are not answered yet; what is answered goes straight to the scorers.

    A bundle that was answered in part is asked again as a whole, where an engine answers it in batches: an answer may
    depend on its batch in the last bits. What was answered first stays.
    """
    for name in asked_anew(job):
        found = samples(job, name)
        while bundle := list(islice(found, BUNDLE[job.engine.kind])):
            known = replies[name]
            if all(sample.id in known for sample in bundle):
                for sample in bundle:
                    if not known[sample.id]["error"]:
                        scorers.take(name, sample, known[sample.id]["text"])
                continue
            keys = [f"{name}/{sample.id}" for sample in bundle]
            asked |= {key: (name, sample) for key, sample in zip(keys, bundle, strict=True)}
            yield [
                Request(key, sample.images, sample.prompt, sample.max_new_tokens)
                for key, sample in zip(keys, bundle, strict=True)
            ]


def to_judge(
    job: BenchmarkJob, name: str, replies: dict[str, Journal], verdicts: dict[str, Journal]
) -> Iterator[Answered | None]:
    """The answers to a benchmark as they come; None says that of the next ones, `WINDOW` at most, none is there yet."""
    found, waiting = samples(job, name), dict[str, Sample]()
    while True:
        waiting |= {sample.id: sample for sample in islice(found, WINDOW - len(waiting))}
        if not waiting:
            return
        there = [key for key in waiting if is_there(name, key, replies, verdicts)]
        for key in there:
            yield answered(job, name, waiting.pop(key), replies, verdicts)
        if not there:
            yield None


def is_there(name: str, key: str, replies: dict[str, Journal], verdicts: dict[str, Journal]) -> bool:
    """Whether a sample is answered and, where that is a page, this is rendered."""
    source, scored = sources(name)
    if key not in replies[source]:
        return False
    return bool(replies[source][key]["error"]) or not BENCHMARKS[scored].scorer or key in verdicts[scored]


def write(job: BenchmarkJob, replies: dict[str, Journal], verdicts: dict[str, Journal], judges: Judges) -> Scores:
    """The rows of every benchmark, and `scores.json`, beside what the same model was asked there before."""
    out = Path(job.output())
    scores = blank_scores(job, engine_of(job, replies))
    if (out / SCORES).exists() and not differing(before := read_scores(out), scores):
        scores = Scores.model_validate(dict(scores) | {"benchmarks": before.benchmarks, "judges": before.judges})
        if before.benchmarks.keys() - job.benchmarks.keys():
            scores = Scores.model_validate(dict(scores) | {"engine": engine_of(job, replies, before.engine)})
    for name, dataset in job.benchmarks.items():
        benchmark = BENCHMARKS[name]
        judged = judges.verdicts(name)
        scores = Scores.model_validate(dict(scores) | {"judges": scores.judges | judges.spent()})
        answers = (answered(job, name, sample, replies, verdicts) for sample in samples(job, name))
        rows = [
            make_row(out, one.sample, one.text, verdict_on(benchmark, one, verdicts[name], judged), one.picture)
            for one in answers
        ]
        limit = job.limit if len(rows) == job.limit else 0
        scores = write_benchmark(out, judges.titled(benchmark), rows, scores, dataset, limit)
    return scores


def blank_scores(job: BenchmarkJob, engine: str) -> Scores:
    """What is known of an evaluation before any figure is."""
    return Scores(
        model=job.name, checkpoint=job.checkpoint, engine=engine, precision=job.engine.dtype,
        evaluator=f"web2code {version('web2code')}, {chromium_version()}", code=code_digest(job.code), seed=job.seed,
        date=datetime.now(UTC).isoformat(timespec="seconds"), hardware=hardware(),
        bootstrap_samples=job.bootstrap_samples,
    )  # fmt: skip


def engine_of(job: BenchmarkJob, replies: dict[str, Journal], before: str = "") -> str:
    """What answered, with its version, or where several did with each of theirs; `before` answered what is kept."""
    found = {entry["engine"] for journal in replies.values() for entry in journal.entries.values()}
    return "; ".join(sorted({*found, *before.split("; ")} - {""})) or job.engine.kind


def sources(name: str) -> tuple[str, str]:
    """The benchmarks whose answers and whose rendered pages a benchmark looks at."""
    source = BENCHMARKS[name].answers_of or name
    return source, name if BENCHMARKS[name].scorer else source


def answered(
    job: BenchmarkJob, name: str, sample: Sample, replies: dict[str, Journal], verdicts: dict[str, Journal]
) -> Answered:
    """A sample with its answer and what was rendered of it."""
    source, scored = sources(name)
    reply, kept = replies[source][sample.id], verdicts[scored].entries.get(sample.id, {})
    picture = folders_of(job, scored).pictures / f"{sample.id}.png"
    failure: tuple[Outcome, str] | None = ("no_answer", reply["error"]) if reply["error"] else None
    if kept and kept["outcome"] != "scored":
        failure = kept["outcome"], kept["reason"]
    return Answered(sample, reply["text"], picture.read_bytes() if kept and not failure else b"", failure)


def verdict_on(benchmark: Benchmark, one: Answered, scored: Journal, judged: Mapping[str, Verdict]) -> Verdict:
    """What models that judge said of an answer, or the benchmark's scorer, or what its judge says."""
    key = one.sample.id
    if key in judged:
        return judged[key]
    if one.failure:
        return Verdict(key, one.failure[0], reason=one.failure[1])
    if benchmark.judge:
        return benchmark.judge(one.sample, one.text)
    return Verdict(key, scored[key]["outcome"], scored[key]["values"], scored[key]["reason"])


def hardware() -> str:
    """What the engines ran on."""
    resources = ray.cluster_resources()
    names = [name.removeprefix("accelerator_type:") for name in resources if name.startswith("accelerator_type:")]
    return f"{resources.get('GPU', 0):g} GPUs {' '.join(names)}".strip() + f", {resources.get('CPU', 0):g} CPUs"


if __name__ == "__main__":
    ray.init(include_dashboard=False)
    scores = main(BenchmarkJob.model_validate_json(Path(sys.argv[1]).read_text()))
    print(scores.model_dump_json())

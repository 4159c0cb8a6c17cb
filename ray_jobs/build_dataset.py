"""Build a dataset of samples from public data and writers: `python -m ray_jobs.build_dataset JOB.json`."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import ray

from web2code.artifacts import publish, read_record
from web2code.config import BuildJob, DataConfig, DatasetRecord, Shard, SourceConfig
from web2code.data import shards
from web2code.data.rows import build_row
from web2code.data.sample import Rejected, Render, Sample
from web2code.data.scrubbing import scrub_sample
from web2code.data.sources import stream_source
from web2code.data.tokens import token_counter
from web2code.data.writers import make_writer
from web2code.data.writers.writer import Writer
from web2code.progress import report
from web2code.rendering import Browsers, chromium_version

# Chunks that wait for a builder; more would fill memory with samples that hold their pictures.
AHEAD = 2


@dataclass(frozen=True)
class Built:
    """What became of one chunk of samples."""

    shards: list[Shard]
    rejected: list[Rejected]


def main(job: BuildJob) -> DatasetRecord:
    """Build the dataset; chunks that are there already are not made again. Returns the record.

    Raises:
        ValueError: a source is missing or not whole.
    """
    if not job.where.out and (done := read_record(job.output(), DatasetRecord)):
        return done
    out = Path(job.output())
    writer = make_writer(job.data, job.where)
    rejected: list[Rejected] = []
    chunks = chain.from_iterable(stream_chunks(job, source, writer, rejected) for source in job.data.sources)
    if job.where.dry_run:
        return dry_run(job, chunks, rejected, writer)
    built = list(build_chunks(chunks, job))
    made = [shard for one in built for shard in one.shards]
    if not made:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in Counter(r.reason for r in rejected).items())
        raise ValueError(f"the sources gave no sample at all ({reasons or 'they are empty'}): look at their folders")
    rejected += [row for one in built for row in one.rejected]
    record = shards.finish(
        out, DatasetRecord(fingerprint=job.fingerprint(), data=job.data, chromium=chromium_version()), made, rejected
    )
    if not job.where.out:
        publish(out, job.output(), record)
    _print_outcome(record, rejected, writer)
    return record


def stream_chunks(
    job: BuildJob, source: SourceConfig, writer: Writer, rejected: list[Rejected]
) -> Iterator[tuple[Path, list[Sample]]]:
    """The chunks of one source, each with the folder where it is noted that they were built."""
    notes = Path(job.where.home) / "builds" / job.source_fingerprint(source)
    made = stream_source(source, Path(job.where.folders.get(source.name, "")), writer, job.data.seed)
    for chunk in shards.cut(_accepted(made, rejected), job.data.pages_per_shard):
        yield notes, chunk


def build_chunks(chunks: Iterator[tuple[Path, list[Sample]]], job: BuildJob) -> Iterator[Built]:
    """What became of every chunk, in order, by one builder for each core of the cluster."""
    num_builders = max(1, int(ray.cluster_resources().get("CPU", 1)))
    builder = ray.remote(num_cpus=0.5)(Builder)
    builders = [builder.remote(job.data, job.output()) for _ in range(num_builders)]
    pending: list[ray.ObjectRef] = []
    done = 0
    for number, (notes, chunk) in enumerate(chunks):
        pending.append(builders[number % num_builders].build.remote(str(notes), chunk))
        if len(pending) >= AHEAD * num_builders:
            one = ray.get(pending.pop(0))
            yield one
            done += sum(shard.num_rows for shard in one.shards)
            report("build", done, None, "samples")
    for reference in pending:
        one = ray.get(reference)
        yield one
        done += sum(shard.num_rows for shard in one.shards)
        report("build", done, done if reference is pending[-1] else None, "samples")


class Builder:
    """Turns chunks of samples into shards: renders pages, opens pictures, counts; on some machine of the cluster."""

    def __init__(self, data: DataConfig, out: str) -> None:
        self.data, self.out = data, Path(out)
        self.count_tokens = token_counter(data.tokenizer)
        self.browsers: Browsers | None = None

    def build(self, notes: str, samples: list[Sample]) -> Built:
        """Shards of a chunk, one for each part in it; read from the notes where they were made before."""
        note = Path(notes) / f"{chunk_key(samples)}.json"
        if built := self._noted(note):
            return built
        outcomes = [self._row(sample) for sample in self._rendered(samples)]
        rejected = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
        rows = [outcome for outcome in outcomes if not isinstance(outcome, Rejected)]
        parts = sorted({row["part"] for row in rows})
        built = Built(
            [shards.write_shard(self.out, [row for row in rows if row["part"] == part]) for part in parts], rejected
        )
        content = {"shards": [shard.model_dump() for shard in built.shards], "rejected": [asdict(r) for r in rejected]}
        note.parent.mkdir(parents=True, exist_ok=True)
        unfinished = note.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(content))
        unfinished.replace(note)
        return built

    def _row(self, sample: Sample | Rejected):
        return sample if isinstance(sample, Rejected) else build_row(sample, self.count_tokens)

    def _rendered(self, samples: list[Sample]) -> Iterator[Sample | Rejected]:
        """The samples with their pages rendered, each document once."""
        clean = [scrub_sample(sample) for sample in samples] if self.data.scrub else samples
        documents = list(dict.fromkeys(sample.image.html for sample in clean if isinstance(sample.image, Render)))
        if documents and self.browsers is None:
            self.browsers = Browsers(viewport=self.data.viewport, layout=False).__enter__()
        drawn = dict(zip(documents, self.browsers.render(documents), strict=True)) if self.browsers else {}
        for sample in clean:
            if not isinstance(sample.image, Render):
                yield sample
            elif (snapshot := drawn[sample.image.html]).outcome == "rendered":
                yield sample.with_image(snapshot.png)
            else:
                yield Rejected(sample.id, sample.source, "page does not render", snapshot.reason)

    def _noted(self, note: Path) -> Built | None:
        if not note.exists():
            return None
        content = json.loads(note.read_text())
        made = [Shard.model_validate(shard) for shard in content["shards"]]
        there = all((self.out / shard.path).exists() for shard in made)
        return Built(made, [Rejected(**row) for row in content["rejected"]]) if there else None


def dry_run(
    job: BuildJob, chunks: Iterator[tuple[Path, list[Sample]]], rejected: list[Rejected], writer: Writer
) -> DatasetRecord:
    """Count what would be built and asked, and make nothing."""
    counts = Counter(sample.part for _, chunk in chunks for sample in chunk)
    record = DatasetRecord(
        fingerprint=job.fingerprint(), data=job.data, num_samples=dict(counts), num_quarantined=len(rejected)
    )
    _print_outcome(record, rejected, writer)
    return record


def chunk_key(samples: list[Sample]) -> str:
    """Names a chunk by the samples in it."""
    return hashlib.sha256("\0".join(sample.id for sample in samples).encode()).hexdigest()[:24]


def _accepted(made: Iterator[Sample | Rejected], rejected: list[Rejected]) -> Iterator[Sample]:
    for one in made:
        if isinstance(one, Rejected):
            rejected.append(one)
        else:
            yield one


def _print_outcome(record: DatasetRecord, rejected: list[Rejected], writer: Writer) -> None:
    for part, count in record.num_samples.items():
        print(f"{part}: {count} samples", flush=True)
    for reason, count in Counter(row.reason for row in rejected).most_common():
        print(f"left out {count}: {reason}", flush=True)
    if meter := getattr(writer, "meter", None):
        print(
            f"writer: {meter.asked} requests, {meter.from_cache} from cache, {meter.input_tokens} tokens in, "
            f"{meter.output_tokens} out, cost {meter.cost:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    ray.init(include_dashboard=False)
    main(BuildJob.model_validate_json(Path(sys.argv[1]).read_text()))

"""Score the samples of a dataset and choose some: `python -m ray_jobs.select_data JOB.json`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray

from ray_jobs.imports import loading
from ray_jobs.room import require_room, resources_of
from web2code.artifacts import publish
from web2code.config import START_SECONDS, SelectionConfig, SelectionJob, SelectionRecord, Shard
from web2code.data import shards
from web2code.data.images import decode_image
from web2code.data.rows import sample_of
from web2code.progress import report
from web2code.report.curves import write_curves
from web2code.selection.scores import ratios, terms
from web2code.selection.window import keep

SCHEMA = pa.schema([
    ("id", pa.string()), ("turn", pa.int32()), ("score", pa.string()), ("numerator", pa.float64()),
    ("denominator", pa.float64()), ("ratio", pa.float64()), ("reason", pa.string()),
])  # fmt: skip
# Samples whose requests are scored together: enough for batches of similar length.
SAMPLES_AT_ONCE = 64


def main(job: SelectionJob) -> SelectionRecord:
    """Score every sample, shards that are scored already excepted, then apply the window. Returns the record."""
    folder = Path(job.folder)
    dataset = shards.load_record(folder)
    out = Path(job.home) / "artifacts" / "selection" / job.fingerprint(dataset.fingerprint)
    scored = out / "scores"
    scored.mkdir(parents=True, exist_ok=True)
    wanted = [shard for shard in dataset.shards if not job.selection.parts or shard.part in job.selection.parts]
    if not wanted:
        raise ValueError(
            f"{folder} has no part {', '.join(job.selection.parts)}: it has {', '.join(dataset.num_samples)}"
        )
    todo = [shard for shard in wanted if not _scores_of(scored, shard).exists()]
    num_samples, done = sum(shard.num_rows for shard in wanted), 0
    done = num_samples - sum(shard.num_rows for shard in todo)
    pending = _submit(job, folder, scored, todo)
    while pending:
        ready, pending = ray.wait(pending)
        done += sum(ray.get(ready))
        report("score", done, num_samples, "samples")
    table = pa.concat_tables([pq.read_table(_scores_of(scored, shard)) for shard in wanted])
    record = choose(job, dataset.fingerprint, num_samples, table, out)
    publish(out, str(out), record)
    print(f"{record.num_selected} of {record.num_samples} samples kept; the curves: {out / 'curves.html'}", flush=True)
    return record


def choose(job: SelectionJob, dataset: str, num_samples: int, table: pa.Table, out: Path) -> SelectionRecord:
    """Apply the window to each sample's mean score; write the chosen ids and the curves."""
    frame = table.to_pandas()
    means = {
        name: frame[frame["score"] == name].groupby("id", sort=False)["ratio"].mean() for name in job.selection.scores
    }
    deciding = means[job.selection.keep]
    chosen = deciding[keep(deciding.to_numpy(), job.selection)]
    pq.write_table(pa.table({"id": chosen.index.tolist(), "score": chosen.to_numpy()}), out / "selected.parquet")
    write_curves(out / "curves.html", job.selection, {name: np.asarray(values) for name, values in means.items()})
    return SelectionRecord(
        fingerprint=job.fingerprint(dataset),
        dataset=dataset,
        selection=job.selection,
        num_samples=num_samples,
        num_scored=len(deciding),
        num_selected=len(chosen),
        unscored=dict(Counter(frame["reason"][frame["reason"] != ""])),
    )


class ShardScorer:
    """A model that scores whole shards."""

    def __init__(self, selection: SelectionConfig, folder: str, out: str) -> None:
        with loading("sklearn"):
            from web2code.selection.scorer import Scorer  # torch, which the driver can do without

        self.selection, self.folder, self.out = selection, Path(folder), Path(out)
        self.scorer = Scorer(selection.model, selection.max_tokens, selection.batch_size, selection.revision)

    def score(self, shard: Shard) -> int:
        """Write the scores of a shard; returns its number of samples."""
        rows: list[dict[str, Any]] = []
        some: list[dict[str, Any]] = []
        for row in shards.read_rows(self.folder, [shard]):
            some.append(row)
            if len(some) == SAMPLES_AT_ONCE:
                rows += self._scores(some)
                some = []
        rows += self._scores(some)
        path = _scores_of(self.out, shard)
        unfinished = path.with_suffix(f".{os.getpid()}.unfinished")
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), unfinished)
        unfinished.replace(path)
        return shard.num_rows

    def _scores(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        samples = [sample_of(row) for row in rows]
        images = [decode_image(row["image"]) if row["image"] and self.scorer.sees else None for row in rows]
        requests = [
            {
                request: image
                for name in self.selection.scores
                for pair in terms(name, sample.pairs(), image is not None).values()
                for request in pair
            }
            for sample, image in zip(samples, images, strict=True)
        ]
        flat = [(i, request, image) for i, wanted in enumerate(requests) for request, image in wanted.items()]
        values = self.scorer.likelihoods([(request, image) for _, request, image in flat])
        known: list[dict] = [{} for _ in samples]
        for (i, request, _), value in zip(flat, values, strict=True):
            if value is not None:
                known[i][request] = value
        made: list[dict[str, Any]] = []
        for sample, image, likelihoods, wanted in zip(samples, images, known, requests, strict=True):
            found = ratios(self.selection.scores, sample.pairs(), image is not None, likelihoods)
            made += [
                {"id": sample.id, "turn": ratio.turn, "score": ratio.name, "numerator": ratio.numerator,
                 "denominator": ratio.denominator, "ratio": ratio.value, "reason": ""}
                for ratio in found
            ]  # fmt: skip
            if not found:
                reason = "does not fit max_tokens" if wanted else "has no picture, or no explanation"
                made.append({"id": sample.id, "turn": -1, "score": "", "reason": reason})
        return made


def _submit(job: SelectionJob, folder: Path, out: Path, todo: list[Shard]) -> list[ray.ObjectRef]:
    if not todo:
        return []
    unit = "GPU" if job.gpus_per_worker else "CPU"
    num_scorers = min(len(todo), job.num_workers or max(1, int(ray.cluster_resources().get(unit, 1))))
    require_room(num_scorers, resources_of(1, job.gpus_per_worker), "scorers", START_SECONDS)
    scorer = ray.remote(num_cpus=1, num_gpus=job.gpus_per_worker)(ShardScorer)
    scorers = [scorer.remote(job.selection, str(folder), str(out)) for _ in range(num_scorers)]
    return [scorers[i % num_scorers].score.remote(shard) for i, shard in enumerate(todo)]


def _scores_of(folder: Path, shard: Shard) -> Path:
    return folder / f"{shard.sha256[:20]}.parquet"


if __name__ == "__main__":
    ray.init(include_dashboard=False)
    main(SelectionJob.model_validate_json(Path(sys.argv[1]).read_text()))

"""What benchmarks say of a candidate: a job for it, one for the champion, and the comparison of the two."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from tasks.jobs import run_job
from tasks.reuse import note_reuse, take_reuse
from web2code.artifacts import publish, read_record
from web2code.config import BenchmarkJob, BenchmarksRecord, digest


@task(task_run_name="benchmarks")
def ask_benchmarks(candidate: BenchmarkJob, champion: BenchmarkJob | None = None) -> BenchmarksRecord:
    """Ask both models what they were not asked before, and compare their answers.

    Raises:
        RuntimeError: a job failed.
    """
    fingerprints = candidate.fingerprint(), champion.fingerprint() if champion else ""
    marker = Path(f"{candidate.where.home}/artifacts/comparison/{digest(fingerprints)[:16]}")
    if done := read_record(str(marker), BenchmarksRecord):
        note_reuse(marker.name)
        return done
    from web2code.evaluation.benchmarks import BENCHMARKS  # heavy, and not needed where nothing is to be done
    from web2code.evaluation.results import Scores
    from web2code.standing import standing

    for job in (candidate, champion):
        if job:
            run_job("benchmark", job, Scores)
    take_reuse()  # that one of two was asked before does not mean that nothing was done
    results = standing(Path(candidate.output()), Path(champion.output()) if champion else None, BENCHMARKS)
    record = BenchmarksRecord(
        fingerprint=marker.name, candidate=fingerprints[0], champion=fingerprints[1], results=results
    )
    publish(marker, str(marker), record)
    return record

"""Draw pages, render them in parallel and store them as Parquet shards: `python -m ray_jobs.build_dataset JOB.json`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import ray

from web2code import dataset
from web2code.artifacts import publish, read_record
from web2code.config import BuildJob, DatasetRecord, Viewport
from web2code.pages import draw_pages
from web2code.pages.page import Page
from web2code.progress import report
from web2code.rendering import Browsers, chromium_version

PAGES_PER_SHARD = 240


def main(job: BuildJob) -> DatasetRecord:
    """Build the dataset; a shard that is already there is not made again. Returns the committed record."""
    if done := read_record(job.output(), DatasetRecord):
        return done
    out = Path(job.output())
    out.mkdir(parents=True, exist_ok=True)
    dropped: Counter = Counter()
    splits = draw_pages(job.pages, job.where.pages_folder, dropped)
    total = sum(map(len, splits.values()))
    num_renderers = max(1, int(ray.cluster_resources().get("CPU", 1)))
    renderer = ray.remote(num_cpus=0.5)(Renderer)
    renderers = [renderer.remote(job.pages.viewport) for _ in range(num_renderers)]
    shards = [
        (split, f"{split}-{number:05}.parquet", pages[start : start + PAGES_PER_SHARD])
        for split, pages in splits.items()
        for number, start in enumerate(range(0, len(pages), PAGES_PER_SHARD))
    ]
    pending = [
        renderers[i % num_renderers].write_shard.remote(str(out / name), split, pages)
        for i, (split, name, pages) in enumerate(shards)
    ]
    done_pages = 0
    while pending:
        ready, pending = ray.wait(pending)
        for num_pages, failures in ray.get(ready):
            done_pages += num_pages
            dropped.update(failures)
        report("dataset", done_pages, total, "pages rendered")
    for reason, count in sorted(dropped.items()):
        print(f"left out {count}: {reason}", flush=True)
    record = dataset.finish(
        out,
        DatasetRecord(
            fingerprint=job.fingerprint(), pages=job.pages, num_pages=0, num_train=0, num_eval=0, num_questions=0,
            num_dropped=sum(dropped.values()), chromium=chromium_version(),
        ),
    )  # fmt: skip
    publish(out, job.output(), record)
    return record


class Renderer:
    """A few Chromium processes on some machine of the cluster."""

    def __init__(self, viewport: Viewport) -> None:
        self.browsers = Browsers(viewport=viewport, layout=False).__enter__()

    def write_shard(self, path: str, split: str, pages: list[Page]) -> tuple[int, dict[str, int]]:
        """Render the pages of a shard that is not there yet: (pages, number of failures by reason)."""
        target = Path(path)
        if not target.exists():
            snapshots = list(self.browsers.render(page.html for page in pages))
            rows = [
                dataset.build_row(page, snapshot, split, target.name)
                for page, snapshot in zip(pages, snapshots, strict=True)
                if snapshot.outcome == "rendered"
            ]
            dataset.write_shard(target, rows)
            reasons = Counter(snapshot.reason for snapshot in snapshots if snapshot.outcome == "failed")
            return len(pages), dict(reasons)
        return len(pages), {"not rendered (earlier)": len(pages) - dataset.count_rows(target)}


if __name__ == "__main__":
    ray.init()
    main(BuildJob.model_validate_json(Path(sys.argv[1]).read_text()))

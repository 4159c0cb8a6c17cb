"""Building a dataset of 1K, 10K and 100K rows with one and with two Ray workers: cost grows linearly in rows."""

from __future__ import annotations

import io
import tempfile
from functools import cache, partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from benchmarks.arms import interleave, report
from web2code.config import BuildJob, DataConfig, SourceConfig, Where
from web2code.data.writers.procedural import ProceduralWriter

SIZES = (1_000, 10_000, 100_000)
PICTURES = 256


@cache
def picture(number: int) -> bytes:
    """A page's screenshot of 320 x 180 pixels, as PNG."""
    image = Image.new("RGB", (320, 180), (number, 255 - number, 99))
    ImageDraw.Draw(image).rectangle((number, 20, number + 60, 120), fill="white")
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def synthesise(folder: Path, rows: int) -> None:
    """WebSight in its layout: Parquet files of a thousand rows."""
    writer = ProceduralWriter(0)
    (folder / "data").mkdir(parents=True)
    for start in range(0, rows, 1000):
        batch = [
            {"image": {"bytes": picture(number % PICTURES), "path": None}, "text": writer.page(f"p/{number}")}
            for number in range(start, start + 1000)
        ]
        pq.write_table(pa.Table.from_pylist(batch), folder / "data" / f"train-{start // 1000:05}.parquet")


def build(folder: Path, cores: int) -> dict[str, int]:
    """Build the dataset on a Ray of so many cores."""
    import ray

    from ray_jobs.build_dataset import main as run

    ray.init("local", num_cpus=cores, include_dashboard=False, log_to_driver=False, object_store_memory=500_000_000)
    with tempfile.TemporaryDirectory() as home:
        out = f"{home}/data"
        where = Where(home=home, data_dir=out, out=out, folders={"websight-refined": str(folder)})
        sources = (SourceConfig(name="websight-refined"),)
        record = run(BuildJob(where=where, data=DataConfig(sources=sources, pages_per_shard=256)))
    ray.shutdown()
    return record.num_samples


def main() -> None:
    """Measure every size with one and with two workers."""
    for rows in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            synthesise(Path(folder), rows)
            ways = {f"{cores} worker{'s' * (cores > 1)}": partial(build, Path(folder), cores) for cores in (1, 2)}
            note = "Pictures of 320 x 180 pixels; Ray's start of some seconds included."
            report(f"Building {rows} rows", rows, "rows", interleave(ways), note)


if __name__ == "__main__":
    main()

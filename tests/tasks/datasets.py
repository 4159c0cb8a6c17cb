"""Small datasets in the pipeline's own format, without a browser: the pictures are flat colours."""

import io

from PIL import Image

from web2code import dataset
from web2code.config import DatasetRecord, PagesConfig
from web2code.pages.generator import generate
from web2code.rendering.snapshot import Snapshot


def picture(number):
    stream = io.BytesIO()
    Image.new("RGB", (80, 64), (number % 256, number // 256 % 256, 90)).save(stream, "PNG")
    return stream.getvalue()


def make_rows(seed=0, num_train=6, num_eval=4):
    rows = []
    for index in range(num_train + num_eval):
        split = "train" if index < num_train else "eval"
        snapshot = Snapshot("rendered", png=picture(1000 * seed + index), width=80, height=64)
        rows.append(dataset.build_row(generate(seed, index), snapshot, split, f"{split}-00000.parquet"))
    return rows


def write_dataset(folder, rows, fingerprint="f0"):
    folder.mkdir(parents=True)
    for split in ("train", "eval"):
        dataset.write_shard(folder / f"{split}-00000.parquet", [row for row in rows if row["split"] == split])
    empty = DatasetRecord(
        fingerprint=fingerprint, pages=PagesConfig(), num_pages=0, num_train=0, num_eval=0, num_questions=0
    )
    return dataset.finish(folder, empty)

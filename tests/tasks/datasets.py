"""Small datasets in the pipeline's own format, without a browser: the pictures are flat colours."""

import io

from PIL import Image

from web2code.config import DataConfig, DatasetRecord, SourceConfig
from web2code.data import shards
from web2code.data.builders.asks import CAPTION_ASK, CODE_ASK
from web2code.data.rows import build_row
from web2code.data.sample import Sample, dialogue
from web2code.data.tokens import token_counter
from web2code.pages.generator import generate


def picture(number):
    stream = io.BytesIO()
    Image.new("RGB", (80, 64), (number % 256, number // 256 % 256, 90)).save(stream, "PNG")
    return stream.getvalue()


def make_rows(seed=0, num_train=6, num_eval=4):
    rows = []
    for index in range(num_train + num_eval):
        page = generate(seed, index)
        for part, suffix, pairs in (
            ("DWCG", "", [(CODE_ASK, page.html)]),
            ("captions", "/caption", [(CAPTION_ASK, page.caption)]),
            ("WUB", "/questions", [(one.question, one.answer) for one in page.questions]),
        ):
            sample = Sample(
                id=page.id + suffix, part=part, source=page.source, licence=page.licence, messages=dialogue(pairs),
                image=picture(1000 * seed + index), page=page.id, split="train" if index < num_train else "eval",
            )  # fmt: skip
            rows.append(build_row(sample, token_counter("")))
    return rows


def write_dataset(folder, rows, fingerprint="f0"):
    folder.mkdir(parents=True)
    groups = {}
    for row in rows:
        groups.setdefault((row["part"], row["split"]), []).append(row)
    made = [shards.write_shard(folder, group) for group in groups.values()]
    record = DatasetRecord(fingerprint=fingerprint, data=DataConfig(sources=(SourceConfig(name="generated"),)))
    return shards.finish(folder, record, made, [])

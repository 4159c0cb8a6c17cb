"""From a shard of a dataset to a shard of what training reads: token ids, labels, pictures at training size."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from transformers import PreTrainedTokenizerFast

from web2code.config import Config, PictureFormat, PreparedPart, Shard
from web2code.data.shards import read_manifest, read_rows
from web2code.modelling.image_text import ImageTextProcessor
from web2code.modelling.images import Channels, square_pixels
from web2code.modelling.prompts import Conversation, Turn, about_image, conversation_sample
from web2code.modelling.samples import IGNORED, Sample
from web2code.modelling.templates import Template
from web2code.training.arrays import KEYS, columns_of, picture_key, write_columns
from web2code.training.pictures import write_pictures

COUNTS = "counts.json"
COLUMNS = ("id", "messages", "image", "image_sha256")


class Counts(Config):
    """What happened to a shard's samples on the way into the arrays."""

    num_truncated: int = 0
    num_dropped: int = 0


@dataclass(frozen=True)
class SquarePictures:
    """LLaVA's pictures: squares of one size, each of as many tokens, on a line of its own."""

    num_tokens: int
    size: int
    mean: Channels
    form: PictureFormat
    line: ClassVar = "\n"

    def tokens(self, picture: bytes) -> int:
        """How many tokens a picture takes."""
        return self.num_tokens

    def stored(self, picture: bytes) -> np.ndarray:
        """A picture at training size; ValueError or OSError where it cannot be read."""
        return square_pixels(picture, self.size, self.mean)


@dataclass(frozen=True)
class Preparation:
    """How samples become arrays: what all shards of a dataset have in common.

    `parts` are those of all stages; of a part that is capped, `kept` has the ids that it keeps.
    """

    folder: Path
    tokenizer: PreTrainedTokenizerFast
    templates: dict[str, Template]
    parts: tuple[PreparedPart, ...]
    kept: Mapping[int, Collection[str]]
    excluded: Collection[str]
    max_length: int
    pictures: SquarePictures | ImageTextProcessor


def prepare_shard(preparation: Preparation, shard: Shard, own: Collection[str], out: Path) -> Counts:
    """Write one shard's arrays to the folder `out`, which is there in full or not at all; once written it stays.

    `own` has the hashes of the pictures that it stores: those of several shards are stored by one of them.
    """
    if (out / COUNTS).exists():
        return Counts.model_validate_json((out / COUNTS).read_text())
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    pictures: dict[str, np.ndarray | bytes] = {}
    found: list[tuple[Sample, int, int]] = []
    truncated = dropped = 0
    for row in read_rows(preparation.folder, [shard], COLUMNS):
        if row["image_sha256"] in own and row["image_sha256"] not in pictures:
            pictures[row["image_sha256"]] = _made_of(row, preparation.pictures.stored)
        for part, sample in _samples(preparation, shard.part, row):
            cut = len(sample.tokens) > preparation.max_length
            truncated += cut
            if cut:
                sample = Sample(sample.tokens[: preparation.max_length], sample.labels[: preparation.max_length])
            if not any(label != IGNORED for label in sample.labels):
                dropped += 1
                continue
            found.append((sample, picture_key(row["image_sha256"]), part))
    write_columns(unfinished, columns_of(found))
    write_pictures(unfinished, list(pictures.values()), preparation.pictures.form)
    np.save(unfinished / KEYS, np.array([picture_key(name) for name in pictures], np.int64))
    counts = Counts(num_truncated=truncated, num_dropped=dropped)
    (unfinished / COUNTS).write_text(counts.model_dump_json())
    shutil.rmtree(out, ignore_errors=True)
    os.replace(unfinished, out)
    return counts


def owners(preparation: Preparation, shards: Sequence[Shard]) -> dict[str, set[str]]:
    """By shard, the pictures that it stores for all: the wanted ones that no shard before it has."""
    columns = ["id", "part", "image_sha256", "shard"]
    table = read_manifest(preparation.folder, columns)
    own: dict[str, set[str]] = {shard.path: set() for shard in shards}
    seen: set[str] = set()
    for name, part, picture, shard in zip(*(table[column].to_pylist() for column in columns), strict=True):
        if picture and shard in own and picture not in seen and list(_wanted(preparation, part, name)):
            seen.add(picture)
            own[shard].add(picture)
    return own


def conversation_of(pairs: Sequence[tuple[str, str]], pictured: bool, line: str = "\n") -> Conversation:
    """A dataset's questions and answers, about its picture where there is one."""
    if pictured:
        return about_image(*pairs, line=line)
    return Conversation(tuple(Turn((ask,), answer) for ask, answer in pairs))


def _samples(preparation: Preparation, name: str, row: dict[str, Any]) -> Iterator[tuple[int, Sample]]:
    """What a row gives to each stage: (number of the part, sample)."""
    texts = [message["text"] for message in row["messages"]]
    pairs = list(zip(texts[::2], texts[1::2], strict=False))
    wanted = list(_wanted(preparation, name, row["id"]))
    image_tokens = _made_of(row, preparation.pictures.tokens) if wanted and row["image"] else 0
    for number in wanted:
        part = preparation.parts[number]
        for chosen in [[pair] for pair in pairs] if part.turns == "apart" else [pairs]:
            conversation = conversation_of(chosen, bool(row["image"]), preparation.pictures.line)
            template = preparation.templates[part.stage]
            yield number, conversation_sample(preparation.tokenizer, template, conversation, image_tokens)


def _wanted(preparation: Preparation, name: str, row: str) -> Iterator[int]:
    """The numbers of the parts that a row of part `name` is in."""
    if row not in preparation.excluded:
        for number, part in enumerate(preparation.parts):
            if part.part == name and row in preparation.kept.get(number, (row,)):
                yield number


def _made_of(row: dict[str, Any], make: Callable[[bytes], Any]) -> Any:
    """What becomes of a row's picture."""
    try:
        return make(row["image"])
    except (OSError, ValueError) as error:
        raise ValueError(
            f"the picture of sample {row['id']} cannot be read: {error}; build the dataset again"
        ) from None

"""What the data gate looks at: for every row of a manifest, whether it passes each check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from web2code.config import CheckName, ValidationConfig
from web2code.data import shards
from web2code.validation.near_duplicates import (
    image_clusters,
    image_matches,
    signatures_of,
    text_clusters,
    text_matches,
)

# Tokens that a template puts around each message; an upper bound, so that the audit never promises too much.
TEMPLATE_TOKENS = 8
SIDES = (16, 65_536)

CHECKS: dict[CheckName, str] = {
    "id_unique": "No two rows have one id.",
    "licence_present": "Every row says under which licence it stands.",
    "roles_alternate": "Question and answer take turns, and an answer comes last.",
    "no_empty_message": "Every message has text.",
    "html_has_body": "Code pairs parse into a document with a body.",
    "picture_in_bounds": "Pictures are between 16 and 65,536 pixels on each side.",
    "answers_trained": "Every answer begins within the context, so that some of it is trained on.",
    "fits_context": "Messages and picture fit the context, so that no answer is cut off.",
    "no_marker_in_answer": "No answer holds text that string-based training code takes for a special token.",
    "no_personal_data": "No e-mail address and no telephone number.",
    "no_near_duplicate": "No other row of the same part and split has both an alike picture and an alike text.",
    "not_contaminated": "No training row is alike to a held-out one.",
}
COLUMNS = (
    "id", "part", "split", "licence", "image_phash", "width", "height", "text_minhash", "num_tokens", "answer_tokens",
    "message_tokens", "roles_alternate", "num_empty", "num_collisions", "num_pii", "is_html", "has_body",
)  # fmt: skip
COMPARED = ("split", "image_phash", "text_minhash", "answer_tokens")


@dataclass(frozen=True)
class Audit:
    """What the label mask would do to answers: shares of all samples."""

    cut: float
    untrained: float
    marker: float


def check_rows(folder: Path, against: Sequence[Path], config: ValidationConfig) -> tuple[pd.DataFrame, Audit]:
    """A frame with `id`, `part`, `split` and a boolean column for each of `CHECKS`, and the label-mask audit.

    `against` are datasets whose held-out rows training rows must not be alike to, besides the dataset's own.
    """
    table = shards.read_manifest(folder, list(COLUMNS))
    held_out = [shards.read_manifest(other, list(COMPARED)) for other in against]
    side = np.stack([_numpy(table, "width"), _numpy(table, "height")])
    has_picture = side.min(axis=0) > 0
    room = config.context - np.where(has_picture, config.image_tokens, 0)
    begins = _last_answer_begins(table["message_tokens"])
    length = _numpy(table, "num_tokens") + TEMPLATE_TOKENS * _num_messages(table)
    is_html = _numpy(table, "is_html")
    licences = table["licence"].to_pandas().fillna("").str.strip()
    ids = table["id"].to_pandas()
    frame = pd.DataFrame({
        "id": ids,
        "part": table["part"].to_pandas(),
        "split": table["split"].to_pandas(),
        "id_unique": ~ids.duplicated(),
        "licence_present": licences.ne(""),
        "roles_alternate": _numpy(table, "roles_alternate"),
        "no_empty_message": _numpy(table, "num_empty") == 0,
        "html_has_body": ~is_html | _numpy(table, "has_body"),
        "picture_in_bounds": ~has_picture | ((side >= SIDES[0]) & (side <= SIDES[1])).all(axis=0),
        "answers_trained": begins < room,
        "fits_context": length <= room,
        "no_marker_in_answer": _numpy(table, "num_collisions") == 0,
        "no_personal_data": _numpy(table, "num_pii") == 0,
        "no_near_duplicate": ~near_duplicates(table),
        "not_contaminated": ~contaminated(table, held_out, config),
    })  # fmt: skip
    audit = Audit(
        cut=float(1 - frame["fits_context"].mean()),
        untrained=float(1 - frame["answers_trained"].mean()),
        marker=float(1 - frame["no_marker_in_answer"].mean()),
    )
    return frame, audit


def near_duplicates(table: pa.Table) -> np.ndarray:
    """True where an earlier row of the same part and split is alike in picture (if any) and in text."""
    found = np.zeros(table.num_rows, bool)
    keys = table["part"].to_pandas() + "/" + table["split"].to_pandas()
    for positions in keys.groupby(keys).indices.values():
        some = table.take(pa.array(positions))
        images, texts = _hashes(some), signatures_of(some["text_minhash"].to_pylist())
        pairs = np.stack([image_clusters(images), text_clusters(texts)])
        _, first, inverse = np.unique(pairs, axis=1, return_index=True, return_inverse=True)
        found[positions] = first[inverse.reshape(-1)] != np.arange(len(positions))
    return found


def contaminated(table: pa.Table, others: Sequence[pa.Table], config: ValidationConfig) -> np.ndarray:
    """True for training rows that are alike to a held-out row, of this dataset or of another."""
    held_out = pa.concat_tables([table.select(COMPARED), *others])
    held_out = held_out.filter(pc.equal(held_out["split"], "eval"))
    train = np.flatnonzero((table["split"].to_pandas() == "train").to_numpy())
    found = np.zeros(table.num_rows, bool)
    if not len(train) or not held_out.num_rows:
        return found
    rows = table.take(pa.array(train))
    image, text = np.zeros(len(train), bool), np.zeros(len(train), bool)
    left, right = rows["image_phash"].is_valid().to_numpy(), held_out["image_phash"].is_valid().to_numpy()
    image[np.flatnonzero(left)[image_matches(_hashes(rows)[left], _hashes(held_out)[right]).left]] = True
    left, right = (_numpy(side, "answer_tokens") >= config.min_text_tokens for side in (rows, held_out))
    signatures = [signatures_of(side["text_minhash"].to_pylist()) for side in (rows, held_out)]
    text[np.flatnonzero(left)[text_matches(signatures[0][left], signatures[1][right]).left]] = True
    found[train] = image | text if config.contamination == "either" else image & text
    return found


def _numpy(table: pa.Table, name: str) -> np.ndarray:
    return table[name].to_numpy()


def _num_messages(table: pa.Table) -> np.ndarray:
    return pc.list_value_length(table["message_tokens"]).to_numpy()


def _hashes(table: pa.Table) -> np.ndarray:
    """Perceptual hashes; rows without a picture share one, so that only their texts tell them apart."""
    return table["image_phash"].fill_null(0).to_numpy().astype(np.uint64)


def _last_answer_begins(tokens: pa.ChunkedArray) -> np.ndarray:
    """For each row, how many tokens stand before its last message, template included."""
    lists = tokens.combine_chunks()
    offsets, values = lists.offsets.to_numpy(), lists.values.to_numpy()
    total = np.concatenate([[0], np.cumsum(values)])
    ends, starts = offsets[1:], offsets[:-1]
    last = np.maximum(ends - 1, starts)
    return total[last] - total[starts] + TEMPLATE_TOKENS * (ends - starts)

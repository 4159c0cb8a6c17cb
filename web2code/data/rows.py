"""From a sample to a row of a shard: the picture checked, everything counted that the gate and the tables need."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pyarrow as pa

from web2code.data.fingerprints import minhash, perceptual_hash
from web2code.data.html_statistics import NOTHING, html_statistics
from web2code.data.images import decode_image, load_image
from web2code.data.pii import find_pii
from web2code.data.sample import Message, Rejected, Render, Sample, is_html

# No published sample comes near; a longer one is a broken or hostile row.
MAX_TEXT_CHARS = 1_000_000
# Text that string-based training code takes for a marker: it would cut or move the answer that holds it.
COLLISIONS = ("</s>", "<s>", "<image>", "<unk>", "ASSISTANT:", "<|im_start|>", "<|im_end|>", "<|endoftext|>")

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("part", pa.string()),
        ("split", pa.string()),
        ("source", pa.string()),
        ("licence", pa.string()),
        ("page", pa.string()),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("text", pa.string())]))),
        ("image", pa.binary()),
        ("image_sha256", pa.string()),
        ("image_phash", pa.uint64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("image_bytes", pa.int64()),
        ("text_sha256", pa.string()),
        ("text_minhash", pa.binary()),
        ("num_messages", pa.int32()),
        ("num_chars", pa.int32()),
        ("num_tokens", pa.int32()),
        ("answer_tokens", pa.int32()),
        ("message_tokens", pa.list_(pa.int32())),
        ("roles_alternate", pa.bool_()),
        ("num_empty", pa.int32()),
        ("num_collisions", pa.int32()),
        ("num_pii", pa.int32()),
        ("is_html", pa.bool_()),
        ("has_body", pa.bool_()),
        ("num_tags", pa.int32()),
        ("dom_depth", pa.int32()),
        ("num_unique_tags", pa.int32()),
    ]
)
CONTENT = ("messages", "image")
COLUMNS = tuple(name for name in SCHEMA.names if name not in CONTENT)


def build_row(sample: Sample, count_tokens: Callable[[str], int]) -> dict[str, Any] | Rejected:
    """A row of `SCHEMA`, or why the sample cannot be one.

    The picture is opened for its size before it is decoded. Of a conversation without a picture, sizes are 0 and the
    hashes null.
    """
    texts = [message.text for message in sample.messages]
    if sum(map(len, texts)) > MAX_TEXT_CHARS:
        return Rejected(sample.id, sample.source, "text is too long", str(sum(map(len, texts))))
    if not any(message.role == "assistant" and message.text.strip() for message in sample.messages):
        return Rejected(sample.id, sample.source, "no answer")
    try:
        picture = _picture_columns(sample)
    except ValueError as error:
        return Rejected(sample.id, sample.source, str(error))
    answers = [message.text for message in sample.messages if message.role == "assistant"]
    message_tokens = [count_tokens(text) for text in texts]
    html = is_html(answers[-1])
    statistics = html_statistics(answers[-1]) if html else NOTHING
    return {
        "id": sample.id,
        "part": sample.part,
        "split": sample.split,
        "source": sample.source,
        "licence": sample.licence,
        "page": sample.page or sample.id,
        "messages": [vars(message) for message in sample.messages],
        **picture,
        "text_sha256": hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest(),
        "text_minhash": minhash("\n".join(answers)),
        "num_messages": len(texts),
        "num_chars": sum(map(len, texts)),
        "num_tokens": sum(message_tokens),
        "answer_tokens": sum(
            num for num, message in zip(message_tokens, sample.messages, strict=True) if message.role == "assistant"
        ),
        "message_tokens": message_tokens,
        "roles_alternate": roles_alternate(sample.messages),
        "num_empty": sum(not text.strip() for text in texts),
        "num_collisions": sum(answer.count(marker) for answer in answers for marker in COLLISIONS),
        "num_pii": sum(len(find_pii(text)) for text in texts),
        "is_html": html,
        "has_body": statistics.has_body,
        "num_tags": statistics.num_tags,
        "dom_depth": statistics.depth,
        "num_unique_tags": statistics.num_unique_tags,
    }


def roles_alternate(messages: tuple[Message, ...]) -> bool:
    """Whether a conversation is question, answer, question, answer, to its end."""
    return len(messages) % 2 == 0 and all(
        message.role == ("user", "assistant")[i % 2] for i, message in enumerate(messages)
    )


def sample_of(row: dict[str, Any]) -> Sample:
    """The sample that a row was made from, with its picture inside."""
    return Sample(
        id=row["id"],
        part=row["part"],
        source=row["source"],
        licence=row["licence"],
        messages=tuple(Message(message["role"], message["text"]) for message in row["messages"]),
        image=row.get("image") or None,
        page=row["page"],
        split=row["split"],
    )


def _picture_columns(sample: Sample) -> dict[str, Any]:
    if sample.image is None:
        return {
            "image": None, "image_sha256": None, "image_phash": None, "width": 0, "height": 0, "image_bytes": 0,
        }  # fmt: skip
    assert not isinstance(sample.image, Render), "a page is rendered before its row is built"
    return _columns_of(load_image(sample.image))


@lru_cache(maxsize=8)
def _columns_of(data: bytes) -> dict[str, Any]:
    """The columns of a picture; the samples of a page follow each other, so that it is decoded once."""
    image = decode_image(data)
    return {
        "image": data,
        "image_sha256": hashlib.sha256(data).hexdigest(),
        "image_phash": perceptual_hash(image),
        "width": image.width,
        "height": image.height,
        "image_bytes": len(data),
    }

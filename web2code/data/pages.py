"""Pages of a dataset: what its samples say of each screenshot, put together again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal

from web2code.config import CODE_PARTS, Shard
from web2code.data import shards

CAPTIONS, YES_NO = "captions", "WUB"


def read_pages(
    folder: str | Path, split: Literal["train", "eval"], images: bool = True, excluded: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Every page of a split that has HTML, in order: `id`, `html`, `image`, `caption` and `questions`.

    `excluded` names samples to be passed over, such as a gate's quarantine. Without `images` no picture is read.
    """
    record = shards.load_record(Path(folder))
    of_split = [shard for shard in record.shards if shard.split == split]
    columns = ["id", "page", "messages", *(["image"] if images else [])]
    pages = {
        row["page"]: {
            "id": row["page"], "html": row["messages"][-1]["text"], "image": row.get("image"), "caption": "",
            "questions": [],
        }
        for row in _rows(folder, of_split, CODE_PARTS, columns)
        if row["id"] not in excluded
    }  # fmt: skip
    for row in _rows(folder, of_split, (CAPTIONS, YES_NO), ["id", "page", "part", "messages"]):
        page = pages.get(row["page"])
        if page is None or row["id"] in excluded:
            continue
        texts = [message["text"] for message in row["messages"]]
        if row["part"] == CAPTIONS:
            page["caption"] = texts[-1]
        else:
            page["questions"] = [
                {"question": question, "answer": answer}
                for question, answer in zip(texts[::2], texts[1::2], strict=True)
            ]
    return list(pages.values())


def _rows(folder: str | Path, all_shards: Iterable[Shard], parts: Collection[str], columns: list[str]):
    return shards.read_rows(Path(folder), [shard for shard in all_shards if shard.part in parts], columns)

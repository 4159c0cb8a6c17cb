"""Models on the hub, fetched by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def fetch(source: str, patterns: Sequence[str]) -> Path:
    """The folder of files that the hub has under `NAME` or `NAME@REVISION`, called as the commit that this stands for.

    Where the hub is not reached, it is what was fetched from there before.

    Raises:
        ValueError: it is no such name, or there is nothing of that name.
    """
    if not NAME.fullmatch(source):
        raise ValueError(f"{source} is no folder and no name on the hub, as LLM360/CrystalChat-7B-Web2Code@main is")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    name, _, revision = source.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(patterns)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{source} cannot be fetched ({reason}): name a folder that holds it") from None

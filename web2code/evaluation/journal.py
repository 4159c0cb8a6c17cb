"""What is done already: one line each, written as it comes, found again after a kill."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Journal:
    """Entries by key in a file of JSON lines; a line that a kill cut off is as if it had not been written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, dict[str, Any]] = {}
        if path.exists():
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                os.truncate(path, len(whole))
            self.entries = {line["key"]: line for line in map(json.loads, whole.splitlines())}
        path.parent.mkdir(parents=True, exist_ok=True)

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self.entries[key]

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, key: str, **fields: Any) -> None:
        """Write one entry; of two for a key the last holds."""
        self.entries[key] = {"key": key, **fields}
        with self.path.open("a") as stream:
            stream.write(json.dumps(self.entries[key]) + "\n")

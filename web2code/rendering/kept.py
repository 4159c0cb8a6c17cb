"""Renderings that are kept on disk: a benchmark's own pages look the same to every model that is evaluated."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from web2code.config import Viewport, code_digest
from web2code.rendering.chromium import chromium_version
from web2code.rendering.modes import Capture
from web2code.rendering.snapshot import Snapshot

_SNAPSHOT = TypeAdapter(Snapshot)


class Kept:
    """Snapshots of rendered pages in a folder, a file each, by all that a rendering depends on."""

    def __init__(self, folder: Path, capture: Capture) -> None:
        self.folder, self.made_by = folder, [capture, chromium_version(), code_digest(("rendering",))]

    def has(self, html: str, viewport: Viewport) -> bool:
        """Whether something was kept."""
        return self._path(html, viewport).exists()

    def find(self, html: str, viewport: Viewport) -> Snapshot | None:
        """What was kept; None where nothing was, or half a file."""
        path = self._path(html, viewport)
        if not path.exists():
            return None
        form, _, png = path.read_bytes().partition(b"\n")
        try:
            return replace(_SNAPSHOT.validate_json(form), png=png)
        except ValidationError:
            return None

    def add(self, html: str, viewport: Viewport, snapshot: Snapshot) -> None:
        """Keep a snapshot. One that failed is not: time and memory may have been short for other reasons."""
        if snapshot.outcome == "failed":
            return
        path = self._path(html, viewport)
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
        unfinished.write_bytes(_SNAPSHOT.dump_json(replace(snapshot, png=b"")) + b"\n" + snapshot.png)
        unfinished.replace(path)

    def _path(self, html: str, viewport: Viewport) -> Path:
        identity = json.dumps([html, viewport.model_dump(), self.made_by])
        return self.folder / hashlib.sha256(identity.encode()).hexdigest()

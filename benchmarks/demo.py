"""What a finished `make demo` left to measure with."""

from __future__ import annotations

from pathlib import Path

from web2code.config import StageRecord
from web2code.plan import home_folder


def demo_model() -> Path:
    """The newest model that the demo trained."""
    records = sorted(
        (home_folder() / "artifacts" / "stage").glob("*/record.json"), key=lambda path: path.stat().st_mtime
    )
    for path in reversed(records):
        if StageRecord.model_validate_json(path.read_text()).name == "instruct":
            return path.parent / "model"
    raise SystemExit("there is no trained model: run `make demo` first")

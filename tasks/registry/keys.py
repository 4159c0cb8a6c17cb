"""What a candidate's run and version are found again by."""

from __future__ import annotations

from web2code.config import digest

KEY_TAG = "web2code.run_key"
STAGE_TAG = "web2code.stage"


def run_key(model_name: str, fingerprint: str) -> str:
    """The key of a candidate, by its last stage's fingerprint."""
    return digest([model_name, fingerprint])[:16]


def run_name(recipe: str, fingerprint: str) -> str:
    """How people see its run."""
    return f"{recipe}-{fingerprint[:8]}"

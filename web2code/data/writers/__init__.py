"""Who writes new data: an OpenAI-compatible endpoint, or procedures that need no model."""

from __future__ import annotations

from pathlib import Path

from web2code.config import DataConfig, Where, digest
from web2code.data.writers.endpoint import EndpointWriter
from web2code.data.writers.procedural import ProceduralWriter
from web2code.data.writers.writer import Writer


def make_writer(data: DataConfig, where: Where) -> Writer:
    """The writer that a configuration asks for.

    Raises:
        ValueError: a model is named and no endpoint.
    """
    if not data.writer.model:
        return ProceduralWriter(data.seed)
    if not where.endpoint.url:
        raise ValueError(f"the writer's model {data.writer.model!r} needs an endpoint: name its URL")
    cache = Path(where.home) / "cache" / "writer"
    paid = cache / f"paid-{digest([where.endpoint.url, data.model_dump()])[:16]}.jsonl"
    return EndpointWriter(data.writer, where.endpoint, cache, where.dry_run, paid)

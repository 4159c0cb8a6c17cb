"""Reads MLflow's registry where it is a SQLite file, in milliseconds: importing MLflow takes seconds."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from web2code.config import ModelRecord


def sqlite_path(store: str) -> Path | None:
    """The file of a `sqlite:///` store; None for a store of another kind."""
    prefix = "sqlite:///"
    return Path(store.removeprefix(prefix).partition("?")[0]) if store.startswith(prefix) else None


def tag_of_alias(database: Path, name: str, alias: str, tag: str) -> str:
    """A tag of the version that an alias points at; empty where there is no such version."""
    rows = _query(
        database,
        "select tags.value from registered_model_aliases as aliases join model_version_tags as tags "
        "on tags.name = aliases.name and tags.version = aliases.version "
        "where aliases.name = ? and aliases.alias = ? and tags.key = ?",
        (name, alias, tag),
    )
    return rows[0][0] if rows else ""


def version_with_tag(database: Path, name: str, tag: str, value: str) -> ModelRecord | None:
    """The version that carries a tag, with the aliases it has now; None where there is none."""
    found = _query(
        database,
        "select tags.version from model_version_tags as tags join model_versions as versions "
        "on versions.name = tags.name and versions.version = tags.version "
        "where tags.name = ? and tags.key = ? and tags.value = ? and versions.current_stage != 'Deleted_Internal' "
        "order by tags.version",
        (name, tag, value),
    )
    if not found:
        return None
    version = found[0][0]
    aliases = _query(
        database,
        "select alias from registered_model_aliases where name = ? and version = ? order by alias",
        (name, version),
    )
    return ModelRecord(name=name, version=version, aliases=tuple(alias for (alias,) in aliases))


def _query(database: Path, text: str, values: tuple) -> list[tuple]:
    if not database.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(text, values).fetchall()

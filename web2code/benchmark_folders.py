"""Where the files of benchmarks lie, found and looked at before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path


def find_folders(given: Mapping[str, str], data: Path) -> dict[str, Path]:
    """The folder of each benchmark: the one given, or else the one of its name in `data`.

    Raises:
        ValueError: a benchmark is not known, or its folder is not there.
    """
    from web2code.evaluation.benchmarks import BENCHMARKS  # reading them takes a second that --help should not

    folders: dict[str, Path] = {}
    for key, folder in given.items():
        if key not in BENCHMARKS:
            raise ValueError(f"no benchmark is called {key!r}: there are {', '.join(sorted(BENCHMARKS))}")
        source = BENCHMARKS[key].answers_of or key
        folders[key] = Path(folder) if folder else folders.get(source, data / source)
        folders.setdefault(source, folders[key])
        if not folders[key].is_dir():
            raise ValueError(f"{key}: {folders[key]} is not there: make it, and {BENCHMARKS[key].fetch}")
    return folders


def needs_judge(names: Iterable[str]) -> str:
    """That the first of these benchmarks that a model judges needs one; empty where none does."""
    from web2code.evaluation.benchmarks import BENCHMARKS

    judged = next((name for name in names if BENCHMARKS[name].model_judge), "")
    return judged and f"{judged} is judged by a model"


def require_sample(name: str, folder: Path) -> None:
    """Nothing, where a benchmark's first sample can be read.

    Raises:
        ValueError: it cannot; the message says what to fetch.
    """
    from web2code.evaluation.benchmarks import BENCHMARKS

    if next(iter(BENCHMARKS[name].load(folder)), None) is None:
        raise ValueError(f"{name}: {folder} holds no sample: {BENCHMARKS[name].fetch}")

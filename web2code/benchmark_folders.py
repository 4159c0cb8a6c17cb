"""Where the files of benchmarks lie, found and looked at before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path


def find_folders(given: Mapping[str, str], data: Path) -> dict[str, Path]:
    """The folder of each benchmark: the one given, or else the one of its name in `data`.

    Benchmarks about the same answers have one folder, whichever of them it is given for.

    Raises:
        ValueError: a benchmark is not known, its folder is not there, or another one is given for the same answers.
    """
    from web2code.evaluation.benchmarks import BENCHMARKS  # reading them takes a second that --help should not

    if unknown := [key for key in given if key not in BENCHMARKS]:
        raise ValueError(f"no benchmark is called {unknown[0]!r}: there are {', '.join(sorted(BENCHMARKS))}")
    sources = {key: BENCHMARKS[key].answers_of or key for key in given}
    named: dict[str, str] = {}
    for key in filter(given.get, given):
        first = named.setdefault(sources[key], key)
        if Path(given[first]).resolve() != Path(given[key]).resolve():
            raise ValueError(
                f"{first}={given[first]} and {key}={given[key]} are about the same answers, those to {sources[key]}: "
                "give one folder"
            )
    folders: dict[str, Path] = {}
    for key, source in sources.items():
        folder = Path(given[named[source]]) if source in named else data / source
        folders |= {key: folder, source: folder}
        if not folder.is_dir():
            raise ValueError(f"{key}: {folder} is not there: make it, and {BENCHMARKS[key].fetch}")
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

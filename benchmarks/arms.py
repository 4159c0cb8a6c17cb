"""Measures ways to do one thing, in turns, each time in a process of its own."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROUNDS = 5
RESULTS = Path(__file__).parents[1] / "build" / "benchmarks"


@dataclass
class Arm:
    """Seconds and peak memory (GB) of every round of one way, and what it gave."""

    name: str
    seconds: list[float] = field(default_factory=list)
    gigabytes: list[float] = field(default_factory=list)
    result: Any = None

    @property
    def median(self) -> float:
        """Seconds of the middle round."""
        return statistics.median(self.seconds)


def interleave(ways: Mapping[str, Callable[[], Any]], rounds: int = ROUNDS, same: bool = True) -> dict[str, Arm]:
    """Run every way once a round, so that a slow minute of the machine falls on all; `same` wants equal results."""
    arms = {name: Arm(name) for name in ways}
    for number in range(rounds):
        for name, work in ways.items():
            seconds, gigabytes, result = apart(work)
            arm = arms[name]
            arm.seconds.append(seconds)
            arm.gigabytes.append(gigabytes)
            assert number == 0 or result == arm.result, f"{name} gave another result in round {number + 1}"
            arm.result = result
            print(f"round {number + 1}  {name:<40} {seconds:9.2f} s  {gigabytes:6.2f} GB", flush=True)
    if same:
        assert len({json.dumps(arm.result) for arm in arms.values()}) == 1, "the ways gave different results"
    return arms


def report(title: str, units: float, unit: str, arms: dict[str, Arm], note: str = "") -> None:
    """Print a table as Markdown, and keep the figures in `build/benchmarks/`."""
    lines = [
        f"### {title}",
        "",
        f"| | {unit} a second (median) | seconds, median (least to most) | memory, GB |",
        "|---|---|---|---|",
    ]
    for arm in arms.values():
        spread = f"{arm.median:.3g} ({min(arm.seconds):.3g} to {max(arm.seconds):.3g})"
        memory = f"{max(arm.gigabytes):.2f}" if arm.gigabytes else ""
        lines.append(f"| {arm.name} | {units / arm.median:,.2f} | {spread} | {memory} |")
    rounds = max(len(arm.seconds) for arm in arms.values())
    lines += ["", f"{rounds} rounds in turns; {machine()}. {note}".strip(), ""]
    print("\n".join(lines), flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{title.lower().replace(' ', '-')}.md").write_text("\n".join(lines))


def machine() -> str:
    """What was measured on."""
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    cores = f"{len(names)} cores of {names[0]}, {memory:.0f} GiB"
    return f"{cores}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"


def apart(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds, peak memory (GB) and result of some work, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(work, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()


def _measure(work: Callable[[], Any], pipe: Any) -> None:
    began = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    pipe.send((seconds, _peak_gigabytes(), result))


def _peak_gigabytes() -> float:
    """Most memory that this process held; `ru_maxrss` would also count what the process that started it held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024**2

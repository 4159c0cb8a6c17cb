"""The benchmarks by name."""

from __future__ import annotations

from web2code.evaluation.benchmarks.benchmark import Benchmark
from web2code.evaluation.benchmarks.wcgb import WCGB

BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in (WCGB,)}

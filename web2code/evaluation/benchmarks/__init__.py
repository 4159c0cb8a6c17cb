"""The benchmarks by name."""

from __future__ import annotations

from web2code.evaluation.benchmarks.benchmark import Benchmark

BENCHMARKS: dict[str, Benchmark] = {}

"""A benchmark of yes/no questions and the results of models that answer them, right with a known chance."""

import io

import numpy as np
from PIL import Image

from web2code.evaluation.benchmarks.benchmark import Benchmark, Sample, Verdict
from web2code.evaluation.measure import Measure, mean
from web2code.evaluation.results import Scores, make_row, write_benchmark


def picture(shade, width=40, height=30):
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (shade % 256, 80 + shade // 256, 160)).save(stream, "PNG")
    return stream.getvalue()


def make_samples(num=60):
    return [
        Sample(f"s{number}", (picture(number),), f"Is {number} even?", 8,
               {"answer": "no" if number % 2 else "yes", "kinds": ("odd" if number % 2 else "even",),
                "reference": b"not JSON"})
        for number in range(num)
    ]  # fmt: skip


def judge(sample, answer):
    if answer not in ("yes", "no"):
        return Verdict(sample.id, "unparsed" if answer else "no_answer", reason="neither yes nor no")
    right = answer == sample.facts["answer"]
    return Verdict(sample.id, "scored", {"correct": float(right), "yes": float(answer == "yes")})


def f1(sums):
    return np.divide(2 * sums[..., 0], sums[..., 1], out=np.zeros(sums.shape[:-1]), where=sums[..., 1] > 0)


def measures(samples, verdicts):
    units = [sample.id for sample in samples]
    correct = [verdict.values.get("correct", 0.0) for verdict in verdicts]
    yes = [verdict.values.get("yes", 0.0) for verdict in verdicts]
    true = [float("even" in sample.facts["kinds"]) for sample in samples]
    terms = np.array([(a * t, b + t) for a, b, t in zip(correct, yes, true, strict=True)]).reshape(-1, 2)
    return (
        mean("accuracy", units, correct),
        mean("accuracy (published)", units, correct),
        Measure("F1", tuple(units), terms, f1, part=True),
        mean("yes ratio", units, yes, better="neither"),
        mean("unparsed", units, [verdict.outcome == "unparsed" for verdict in verdicts], better="less"),
    )


PARITY = Benchmark("parity", "Odd or even", lambda folder: make_samples(), judge, measures, "nothing")
BENCHMARKS = {"parity": PARITY}


def make_scores(model):
    return Scores(
        model=model, checkpoint="c0ffee", engine="transformers 5.19", precision="bf16", evaluator="web2code 0.1.0",
        code="d1", seed=0, date="2026-01-02T03:04:05Z", hardware="one CPU", bootstrap_samples=200,
    )  # fmt: skip


def write_results(folder, model, chance, seed=0, num=60, dataset="d", answers=None, rendered=False):
    """The results of a model that is right with a chance; some of its answers are given."""
    random = np.random.default_rng(seed)
    rows = []
    for number, sample in enumerate(make_samples(num)):
        true = sample.facts["answer"]
        answer = true if random.random() < chance else {"yes": "no", "no": "yes"}[true]
        answer = (answers or {}).get(sample.id, answer)
        rendering = picture(255 - number) if rendered and number else b""
        rows.append(make_row(folder, sample, answer, judge(sample, answer), rendering))
    return write_benchmark(folder, PARITY, rows, make_scores(model), dataset)

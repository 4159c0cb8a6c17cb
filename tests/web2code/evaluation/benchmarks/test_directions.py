"""Whether more or less of a figure is better: what failing raises is no merit, in any benchmark."""

from typing import get_args

import pytest

from web2code.config import ASPECTS, GROUPS
from web2code.evaluation.benchmarks import BENCHMARKS
from web2code.evaluation.benchmarks.benchmark import Outcome, Sample, Verdict
from web2code.evaluation.benchmarks.design2code import MEASURES
from web2code.evaluation.benchmarks.llava_bench import CATEGORIES
from web2code.evaluation.judges.scienceqa_ensemble import NAMES

from .public_files import FILES

FAILURES = get_args(Outcome)[1:]
BEST = (
    dict.fromkeys((*GROUPS, *ASPECTS), 10.0)
    | {f"sd {name}": 1.0 for name in GROUPS}
    | dict.fromkeys(MEASURES, 1.0)
    | {"model": 9.0, "reference": 8.0, "published model": 9.0, "published reference": 8.0, "first": 0.5}
    | {each: 1.0 for name in NAMES for each in (name, f"{name} (published)")}
)
# As published, a failure counts as much for the reference as for the model.
UNMOVED_BY_FAILING = "(published)"


def best_verdicts(benchmark, samples):
    if not benchmark.judge:
        return [Verdict(sample.id, "scored", BEST | dict.fromkeys(("text model", "judge"), 1.0)) for sample in samples]
    answers = [str(sample.facts.get("answer") or sample.facts["answers"][0]) for sample in samples]
    return [benchmark.judge(sample, answer) for sample, answer in zip(samples, answers, strict=True)]


def samples_of(name, folder):
    if name not in FILES:
        return [Sample(str(number), (), "", 1, {"category": CATEGORIES[number % 3]}) for number in range(6)]
    FILES[name][0](folder)
    return list(BENCHMARKS[name].load(folder))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_what_failing_raises_is_better_lower_and_what_it_lowers_is_better_higher(name, tmp_path):
    benchmark, samples = BENCHMARKS[name], samples_of(name, tmp_path)
    best = benchmark.measures(samples, best_verdicts(benchmark, samples))
    raised = set()
    for failure in FAILURES:
        failed = benchmark.measures(samples, [Verdict(sample.id, failure) for sample in samples])
        values = {measure.name: measure.value for measure in failed}
        for measure in best:
            if measure.name not in values or measure.name.endswith(UNMOVED_BY_FAILING):
                continue
            if values[measure.name] > measure.value:
                raised.add(measure.name)
                assert measure.better != "more", measure.name
            if values[measure.name] < measure.value:
                assert measure.better != "less", measure.name
    shares = {measure.name for measure in best if measure.better == "less"}
    assert shares - raised <= {"not judged"}


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("wcgb", {"render failed"}),
        ("wcgb_judge", {"without an answer", "without HTML", "not rendered", "not judged"}),
        ("scienceqa_ensemble", {"not judged"}),
        ("llava_bench_coco", {"not judged"}),
        ("wub", {"unparsed", "no answer"}),
    ],
)
def test_each_share_of_failures_is_better_lower(name, shares, tmp_path):
    samples = samples_of(name, tmp_path)
    measures = BENCHMARKS[name].measures(samples, best_verdicts(BENCHMARKS[name], samples))
    assert {measure.name for measure in measures if measure.better == "less"} == shares

"""Compatible forms of the metrics, against what lmms-eval's own functions return."""

import json
from pathlib import Path
from random import Random

import pytest

from web2code.evaluation.benchmarks.benchmark import Sample
from web2code.evaluation.benchmarks.mme import MME
from web2code.evaluation.benchmarks.pope import POPE
from web2code.evaluation.metrics import choices
from web2code.evaluation.metrics.anls import anls_lmms_eval
from web2code.evaluation.metrics.containment import contains, contains_formula
from web2code.evaluation.metrics.open_answers import open_match_lmms_eval
from web2code.evaluation.metrics.relaxed import relaxed_match_lmms_eval
from web2code.evaluation.metrics.vqa import vqa_accuracy_lmms_eval
from web2code.evaluation.metrics.yes_no import parse_lmms_eval_mme

PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "metric_vectors.json"
pytestmark = pytest.mark.skipif(not PUBLISHED.exists(), reason=f"{PUBLISHED} is not there")


@pytest.fixture(scope="module")
def vectors():
    return json.loads(PUBLISHED.read_text())


def scores(vectors, score):
    assert vectors
    return [(vector, score(vector), vector["score"]) for vector in vectors if score(vector) != vector["score"]]


def test_vqa_accuracy(vectors):
    def score(one):
        return vqa_accuracy_lmms_eval(one["prediction"], one["answers"])

    assert not scores(vectors["textvqa_vqa_accuracy"], score)


def test_anls(vectors):
    assert not scores(vectors["anls"], lambda one: anls_lmms_eval(one["prediction"], one["answers"]))


def test_relaxed_accuracy(vectors):
    wrong = scores(
        vectors["chartqa_relaxed_accuracy"], lambda one: relaxed_match_lmms_eval(one["prediction"], one["answer"])
    )
    assert not wrong


def test_scienceqa(vectors):
    def score(one):
        return choices.matches_lmms_eval_scienceqa(one["prediction"], "ABCDE"[one["answer"]])

    assert not scores(vectors["scienceqa"], score)


def test_ocrbench(vectors):
    def score(one):
        match = contains_formula if one["dataset"] == "HME100k" else contains
        answers = one["answer"] if isinstance(one["answer"], list) else [one["answer"]]
        return match(one["prediction"], answers)

    assert not scores(vectors["ocrbench"], score)


def test_mmmu_multiple_choice(vectors):
    for one in vectors["mmmu_multiple_choice"]:
        options = choices.lettered(one["choices"])
        # The generator was seeded anew for each of them.
        assert choices.infer_lmms_eval_mmmu(one["prediction"], options, Random(0).choice) == one["parsed"], one


def test_mmmu_open(vectors):
    assert not scores(vectors["mmmu_open"], lambda one: open_match_lmms_eval(one["prediction"], [one["answer"]]))


def test_mme(vectors):
    rows = vectors["mme"]["rows"]
    assert [parse_lmms_eval_mme(row["prediction"]) for row in rows] == [row["parsed"] for row in rows]
    facts = [{"answer": row["answer"].lower(), "category": row["category"], "pair": row["question_id"]} for row in rows]
    samples = [Sample(str(number), (), "", 16, known) for number, known in enumerate(facts)]
    figures = values(MME, samples, [row["prediction"] for row in rows])
    assert figures["perception (lmms-eval)"] == vectors["mme"]["totals"]["mme_perception_score"]
    assert figures["cognition (lmms-eval)"] == vectors["mme"]["totals"]["mme_cognition_score"]


def test_pope(vectors):
    rows = vectors["pope"]["rows"]
    samples = [
        Sample(str(row["question_id"]), (), "", 128, {"answer": row["answer"], "split": row["category"]})
        for row in rows
    ]  # fmt: skip
    figures = values(POPE, samples, [row["prediction"] for row in rows])
    for name in ("accuracy", "precision", "recall"):
        assert figures[f"{name} (lmms-eval)"] == vectors["pope"][name]
    assert figures["F1 (lmms-eval)"] == vectors["pope"]["f1"]


def values(benchmark, samples, answers):
    verdicts = [benchmark.judge(sample, answer) for sample, answer in zip(samples, answers, strict=True)]
    return {measure.name: measure.value for measure in benchmark.measures(samples, verdicts)}

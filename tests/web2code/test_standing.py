"""A candidate beside the champion, from real rows of both, up to the gate's word."""

import pytest

from tests.web2code.evaluation.small import BENCHMARKS, write_results
from tests.web2code.test_gate import evaluated, system
from web2code.config import BenchmarksRecord, GateConfig
from web2code.gate import decide
from web2code.standing import COLUMNS, cells, standing


@pytest.fixture
def folders(tmp_path):
    write_results(tmp_path / "good", "good", 0.95, seed=1, num=300, answers={"s0": ""})
    write_results(tmp_path / "forgetful", "forgetful", 0.6, seed=2, num=300)
    write_results(tmp_path / "twin", "twin", 0.95, seed=1, num=300)
    return tmp_path


def verdict(results):
    asked = BenchmarksRecord(fingerprint="b", candidate="one", results=results)
    return decide(evaluated(candidate=system(5.5), champion=system(5.0)), GateConfig(), asked)


def test_without_a_champion_the_figure_stands_alone(folders):
    (result,) = standing(folders / "good", None, BENCHMARKS).values()
    assert (result.figure, result.num, result.lost, result.champion, result.difference) == (
        "accuracy",
        300,
        1,
        None,
        None,
    )
    assert result.candidate.low < result.candidate.mean < result.candidate.high
    shown = dict(zip(COLUMNS, cells(result), strict=True))
    assert (shown["benchmark"], shown["champion"], shown["p"]) == ("Odd or even", "–", "–")
    assert verdict({"parity": result}).promoted


def test_a_model_that_forgot_is_blocked_and_one_that_did_not_is_not(folders):
    forgot = standing(folders / "forgetful", folders / "good", BENCHMARKS)
    assert forgot["parity"].verdict == "worse"
    assert forgot["parity"].difference.mean == pytest.approx(
        forgot["parity"].candidate.mean - forgot["parity"].champion.mean
    )
    blocked = verdict(forgot)
    assert not blocked.promoted
    assert "on benchmarks: parity (accuracy) -3" in blocked.reason
    assert verdict(standing(folders / "twin", folders / "good", BENCHMARKS)).promoted
    assert verdict(standing(folders / "good", folders / "forgetful", BENCHMARKS)).promoted


def wrong_about(numbers):
    return {f"s{number}": "yes" if number % 2 else "no" for number in numbers}


def test_a_part_that_collapsed_blocks_whatever_the_main_figure_says(tmp_path):
    """The champion says nothing of odd numbers, the candidate is wrong about as many even ones: F1 is over these."""
    silent = {f"s{number}": "?" for number in range(1, 121, 2)}
    write_results(tmp_path / "champion", "champion", 1, num=600, answers=silent)
    write_results(tmp_path / "candidate", "candidate", 1, num=600, answers=wrong_about(range(0, 120, 2)))
    result = standing(tmp_path / "candidate", tmp_path / "champion", BENCHMARKS)["parity"]
    assert list(result.scores) == ["accuracy", "F1"]
    assert result.scores["accuracy"].difference.mean == 0
    assert result.scores["accuracy"].p == 0.5
    assert result.scores["F1"].p < 0.01
    blocked = verdict({"parity": result})
    assert not blocked.promoted
    assert "on benchmarks: parity (F1) -" in blocked.reason
    assert "accuracy" not in blocked.reason


def test_however_many_benchmarks_are_named_harm_on_one_blocks(tmp_path):
    for name, wrong in (("champion", range(3)), ("candidate", range(3, 15))):
        for number in range(5):
            answers = wrong_about(range(3) if number else wrong)
            write_results(tmp_path / name / str(number), name, 1, num=600, answers=answers)
    results = {}
    for number in range(5):
        pair = (tmp_path / name / str(number) for name in ("candidate", "champion"))
        results[f"parity{number}"] = standing(*pair, BENCHMARKS)["parity"]
    assert [name for name, one in results.items() if one.scores["accuracy"].p < 0.05] == ["parity0"]
    assert not verdict(results).promoted

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

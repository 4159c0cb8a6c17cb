"""Mixtures: the published ablation, stable draws, and what licences make of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from web2code.config import PartShare
from web2code.data.licences import restriction
from web2code.mixtures import MIXTURES, draw, mixture_restriction, resolve_mixture

IDS = [f"sample-{i}" for i in range(2000)]


def test_the_six_rows_of_the_ablation():
    expected = {
        "none": set(), "dwcg": {"DWCG"}, "dwu": {"DWU"}, "dwcg+dwu": {"DWCG", "DWU"},
        "dwcg+dwu+dwcg_r": {"DWCG", "DWU", "DWCG_R"}, "all": {"DWCG", "DWU", "DWCG_R", "DWU_R"},
    }  # fmt: skip
    made = {name: MIXTURES[name]() for name in expected}
    assert {name: {share.part for share in each.instruct} - {"mix665k"} for name, each in made.items()} == expected
    assert all(each.align == (PartShare(part="LCS-558K"),) for each in made.values())


def test_an_unknown_mixture_lists_the_known():
    with pytest.raises(ValueError, match=r"unknown mixture 'most': choose one of none, dwcg"):
        resolve_mixture("most")


def test_every_sample_once_by_default():
    assert draw(IDS, PartShare(part="x"), 0).tolist() == list(range(len(IDS)))


def test_a_weight_repeats_and_thins():
    times = Counter(draw(IDS, PartShare(part="x", weight=2.3), 0).tolist())
    assert set(times.values()) == {2, 3}
    assert np.mean(list(times.values())) == pytest.approx(2.3, abs=0.03)
    assert len(draw(IDS, PartShare(part="x", weight=0.25), 0)) == pytest.approx(500, abs=60)
    assert len(draw(IDS, PartShare(part="x", weight=0.0), 0)) == 0


def test_a_larger_cap_keeps_what_a_smaller_kept():
    small, large = (set(draw(IDS, PartShare(part="x", cap=cap), 3).tolist()) for cap in (100, 300))
    assert (len(small), len(large)) == (100, 300)
    assert small < large
    assert small != set(draw(IDS, PartShare(part="x", cap=100), 4).tolist())


def test_a_draw_does_not_depend_on_what_else_is_there():
    share = PartShare(part="x", weight=0.5)
    chosen = {IDS[i] for i in draw(IDS, share, 0)}
    more = [*IDS, "a new one"]
    assert {more[i] for i in draw(more, share, 0)} - {"a new one"} == chosen


@pytest.mark.parametrize(("licences", "expected"), [
    (["MIT", "CC-BY-4.0"], "commercial"), (["MIT", "CC-BY-NC-4.0"], "non-commercial"), (["MIT", ""], "unclear"),
    (["MIT", "other-cc3m-laion-sbu"], "unclear"), ([], "unclear"), (["research-only"], "non-commercial"),
    (["CC-BY-NCSOMETHING"], "commercial"), (["BSD-3-Clause", "Apache-2.0"], "commercial"),
])  # fmt: skip
def test_one_non_commercial_source_marks_all(licences, expected):
    assert restriction(licences) == expected


def test_a_mixture_is_marked_by_the_parts_it_takes():
    licences = {"mix665k": ("CC-BY-NC-4.0",), "DWCG": ("MIT",), "LCS-558K": ("other",)}
    assert mixture_restriction(resolve_mixture("dwcg").instruct, licences) == "non-commercial"
    assert mixture_restriction([PartShare(part="DWCG")], licences) == "commercial"
    assert mixture_restriction([PartShare(part="DWU")], licences) == "unclear"

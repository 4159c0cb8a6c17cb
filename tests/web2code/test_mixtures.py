"""Mixtures: the published ablation, stable draws, and what licences make of them."""

from __future__ import annotations

import pytest

from web2code.config import PartShare
from web2code.data.licences import restriction
from web2code.mixtures import MIXTURES, capped, resolve_mixture

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
    with pytest.raises(ValueError, match=r"unknown mixture 'most': choose one of pages, none, dwcg"):
        resolve_mixture("most")


def test_a_larger_cap_keeps_what_a_smaller_kept():
    small, large = (capped(IDS, cap, 3) for cap in (100, 300))
    assert (len(small), len(large)) == (100, 300)
    assert small < large
    assert small != capped(IDS, 100, 4)
    assert capped([*IDS, "a new one"], 100, 3) - {"a new one"} <= small
    assert capped(IDS, 10 * len(IDS), 3) == set(IDS)


@pytest.mark.parametrize(("licences", "expected"), [
    (["MIT", "CC-BY-4.0"], "commercial"), (["MIT", "CC-BY-NC-4.0"], "non-commercial"), (["MIT", ""], "unclear"),
    (["MIT", "other-cc3m-laion-sbu"], "unclear"), ([], "unclear"), (["research-only"], "non-commercial"),
    (["CC-BY-NCSOMETHING"], "commercial"), (["BSD-3-Clause", "Apache-2.0"], "commercial"),
])  # fmt: skip
def test_one_non_commercial_source_marks_all(licences, expected):
    assert restriction(licences) == expected

"""WCGB's pages, from a dataset or from a folder of files."""

import pytest

from tests.web2code.data.small import drawing, page, sample, write_dataset
from web2code.evaluation.benchmarks import BENCHMARKS

WCGB = BENCHMARKS["wcgb"]


def test_a_dataset_gives_the_pages_that_it_holds_out(tmp_path):
    write_dataset(tmp_path, [sample(1, split="eval"), sample(2), sample(3, split="eval")])
    found = list(WCGB.load(tmp_path))
    assert [one.id for one in found] == ["p1", "p3"]
    assert (found[0].images, found[0].facts["html"]) == ((drawing(1),), page(1))
    assert found[0].facts["viewport"] == {"width": 96, "height": 96}


def test_a_folder_of_files_gives_them_by_name(tmp_path):
    for number in (2, 1):
        (tmp_path / f"n{number}.html").write_text(page(number))
        (tmp_path / f"n{number}.png").write_bytes(drawing(number))
    assert [(one.id, one.facts["html"]) for one in WCGB.load(tmp_path)] == [("n1", page(1)), ("n2", page(2))]


def test_a_folder_of_neither_says_what_it_should_hold(tmp_path):
    with pytest.raises(ValueError, match=r"should be a dataset, or hold NAME\.png and NAME\.html"):
        list(WCGB.load(tmp_path))

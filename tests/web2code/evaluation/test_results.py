"""The folder of results: what is written is read again, and gives the same figures."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from tests.web2code.evaluation.small import BENCHMARKS, PARITY, judge, make_samples, picture, write_results
from web2code.evaluation.measure import interval
from web2code.evaluation.results import (
    Row,
    Scores,
    keep_picture,
    make_row,
    read_measures,
    read_picture,
    read_rows,
    read_scores,
    show,
    write_benchmark,
    write_rows,
)


def test_figures_computed_again_from_the_folder_are_those_that_were_written(tmp_path):
    scores = write_results(tmp_path, "ours", 0.8, answers={"s0": "", "s1": "maybe"})
    assert read_scores(tmp_path) == scores
    found = scores.benchmarks["parity"]
    assert found.outcomes == {"no_answer": 1, "scored": 58, "unparsed": 1}
    assert found.num == 60
    again = read_measures(tmp_path, scores, "parity", BENCHMARKS)
    for figure, measure in zip(found.figures, again, strict=True):
        expected = interval(measure, scores.bootstrap_samples, scores.seed)
        assert (figure.name, figure.value, figure.low, figure.high) == (measure.name, *dict(expected).values())
    assert found.figures[0].value == sum(row.values.get("correct", 0) for row in read_rows(tmp_path, "parity")) / 60
    assert [figure.published for figure in found.figures] == [False, True, False, False, False]


def test_a_second_benchmark_stands_beside_the_first(tmp_path):
    first = write_results(tmp_path, "ours", 0.8)
    renamed = type(PARITY)(**vars(PARITY) | {"name": "parity2"})
    rows = read_rows(tmp_path, "parity")
    both = write_benchmark(tmp_path, renamed, rows, first, "d")
    assert list(read_scores(tmp_path).benchmarks) == ["parity", "parity2"]
    assert both.benchmarks["parity2"].figures == first.benchmarks["parity"].figures


def test_facts_that_only_judging_needs_are_left_out(tmp_path):
    (sample, *_) = make_samples(1)
    row = make_row(tmp_path, sample, "yes", judge(sample, "yes"))
    assert set(row.facts) == {"answer", "kinds"}


def test_texts_of_any_kind_survive(tmp_path):
    hostile = '</script>\u2028\r\n\x00 \ud800 \\ " 你好'
    (sample, *_) = make_samples(1)
    write_rows(tmp_path, "parity", [make_row(tmp_path, sample, hostile, judge(sample, hostile))])
    (row,) = read_rows(tmp_path, "parity")
    assert row.answer == hostile.replace("\ud800", "\ufffd")
    assert (tmp_path / "parity.jsonl").read_text().count("\n") == 1


def test_pictures_are_small_and_kept_once(tmp_path):
    shot = picture(7, width=2000, height=9000)
    name = keep_picture(tmp_path, shot)
    assert keep_picture(tmp_path, shot) == name
    assert len(list((tmp_path / "pictures").iterdir())) == 1
    with Image.open(io.BytesIO(read_picture(tmp_path, name))) as image:
        assert image.size == (960, 1920)
        assert np.abs(np.asarray(image.convert("RGB"))[5, 5].astype(int) - (7, 80, 160)).max() < 8
    assert keep_picture(tmp_path, b"no picture") is None
    assert read_picture(tmp_path, None) == b""


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 31, "A" * 32])
def test_a_row_names_no_picture_outside_its_folder(name):
    with pytest.raises(ValueError, match="pattern"):
        Row(id="a", outcome="scored", answer="", pictures=(name,))


@pytest.mark.parametrize("name", ["../up", "", "a/b", ".hidden"])
def test_a_result_names_no_benchmark_outside_its_folder(tmp_path, name):
    scores = write_results(tmp_path, "ours", 0.8).model_dump()
    scores["benchmarks"] = {name: scores["benchmarks"]["parity"]}
    with pytest.raises(ValueError, match="pattern"):
        Scores.model_validate(scores)


def test_what_is_missing_or_damaged_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"has no scores\.json"):
        read_scores(tmp_path)
    scores = write_results(tmp_path, "ours", 0.8)
    with pytest.raises(ValueError, match="'parity' that is not known here"):
        read_measures(tmp_path, scores, "parity", {"other": PARITY})
    lines = (tmp_path / "parity.jsonl").read_text().splitlines()
    for line, words in (("{", "line 2: "), (json.dumps({"id": "a"}), "line 2: outcome"), ("[" * 100_000, "line 2")):
        (tmp_path / "parity.jsonl").write_text("\n".join([lines[0], line]))
        with pytest.raises(ValueError, match=words):
            read_rows(tmp_path, "parity")
    (tmp_path / "parity.jsonl").unlink()
    with pytest.raises(ValueError, match="missing: evaluate parity again"):
        read_rows(tmp_path, "parity")
    (tmp_path / "scores.json").write_text('{"model": 3}')
    with pytest.raises(ValueError, match="model: "):
        read_scores(tmp_path)


def test_figures_are_written_as_people_do():
    assert (show(0.7414, 1), show(8.394, 10), show(1449.54, 2000)) == ("74.1", "8.39", "1449.5")

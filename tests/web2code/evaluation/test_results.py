"""The folder of results: what is written is read again, and gives the same figures."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

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
    means_of,
    measures_of,
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


def rows_about(folder, pictures, answers):
    """A row for each picture's shade and answer to the same question about it."""
    samples = [
        replace(sample, images=(picture(shade),))
        for sample, shade in zip(make_samples(len(pictures)), pictures, strict=True)
    ]
    return [make_row(folder, one, said, judge(one, said)) for one, said in zip(samples, answers, strict=True)]


def test_questions_about_one_picture_are_drawn_together(tmp_path):
    """Five answers about a picture that are always right or wrong together say as much as one."""
    sees = np.repeat(np.random.default_rng(0).integers(0, 2, 40), 5)
    answers = [("no", "yes")[(number + hit) % 2] for number, hit in enumerate(sees)]
    rows = rows_about(tmp_path, np.repeat(np.arange(40), 5).tolist(), answers)
    together, apart = (measures_of(PARITY, found)[0] for found in (rows, [one.model_copy(update={"pictures": ()})
                                                                        for one in rows]))  # fmt: skip
    assert together.units == tuple(f"s{number}" for number in range(0, 200, 5))
    assert (len(apart.units), apart.value) == (200, together.value)
    wide, narrow = interval(together, 2000, seed=0), interval(apart, 2000, seed=0)
    assert wide.high - wide.low == pytest.approx(5**0.5 * (narrow.high - narrow.low), rel=0.15)


def test_with_one_question_about_each_picture_units_are_samples(tmp_path):
    rows = rows_about(tmp_path, list(range(20)), ["yes"] * 20)
    samples = make_samples(20)
    plain = PARITY.measures(samples, [judge(sample, "yes") for sample in samples])
    for one, other in zip(measures_of(PARITY, rows), plain, strict=True):
        assert one.units == other.units
        assert (one.terms == other.terms).all()


def test_a_mean_is_over_the_rows_that_have_the_value():
    """As MME's rows of lmms-eval are: those of perception and cognition have values of their own."""
    values = [{"perception": 1.0}, {"perception": 0.0}, {"perception": 1.0}, {"cognition": 1.0}]
    rows = [Row(id=str(number), outcome="scored", answer="", values=found) for number, found in enumerate(values)]
    assert {one.name: one.value for one in means_of(rows)} == {
        "mean perception, 3 of 4 rows": pytest.approx(2 / 3),
        "mean cognition, 1 of 4 rows": 1,
    }
    lost = Row(id="lost", outcome="no_answer", answer="")
    assert {one.name: one.value for one in means_of([*rows[:3], lost])} == {"mean perception": 0.5}


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


def test_a_picture_that_several_keep_at_once_is_kept_by_each(tmp_path):
    shots = [picture(shade, width=300, height=200) for shade in range(20) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        names = set(pool.map(lambda shot: keep_picture(tmp_path, shot), shots))
    assert len(names) == 20
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {f"{name}.webp" for name in names}


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

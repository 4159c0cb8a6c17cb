import io

import pytest
from PIL import Image

from web2code.evaluation.benchmarks.benchmark import Folders, Verdict
from web2code.evaluation.benchmarks.design2code import (
    DESIGN2CODE_LAYOUT,
    layout_measures,
    load,
    measures,
    start_layout_scorer,
    start_scorer,
)

PAGE = "<html><body style='margin:0'><h1>Page {}</h1><img src=rick.jpg width=300></body></html>"


def picture(kind, size=(40, 30), colour=(0, 200, 0)):
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path):
    for number in (10, 2, 1):
        (tmp_path / f"{number}.html").write_text(PAGE.format(number))
        (tmp_path / f"{number}.png").write_bytes(picture("PNG"))
    (tmp_path / "rick.jpg").write_bytes(picture("JPEG"))
    (tmp_path / "index.html").write_text("not a page of the test set")
    return tmp_path


def test_pages_come_in_the_order_of_their_numbers(folder):
    samples = list(load(folder))
    assert [sample.id for sample in samples] == ["1", "2", "10"]
    assert samples[2].facts["html"] == PAGE.format(10)
    assert samples[2].images == (picture("PNG"),)
    assert "rick.jpg" in samples[0].prompt


@pytest.mark.parametrize("missing", ["2.png", "rick.jpg"])
def test_an_incomplete_folder_says_what_to_fetch(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(ValueError, match=rf"{missing} is missing: fetch the test set of SALT-NLP/Design2Code"):
        list(load(folder))


def test_an_empty_folder_says_what_to_fetch(tmp_path):
    with pytest.raises(ValueError, match="has no page"):
        list(load(tmp_path))


def test_a_folder_for_clip_without_a_checkpoint_is_found_before_anything_is_asked(folder):
    (folder / "clip").mkdir()
    with pytest.raises(ValueError, match="clip holds no CLIP checkpoint: fetch openai/clip-vit-base-patch32"):
        list(load(folder))


def test_answers_are_judged_against_the_page_with_its_picture(folder, tmp_path):
    samples = list(load(folder))
    answers = [f"Here it is:\n```html\n{PAGE.format(1)}\n```", "<think>A page?</think>\n", "<html><body><![what["]
    scorer = start_scorer(Folders(tmp_path / "pictures", folder, tmp_path / "kept"))
    try:
        verdicts = [scorer.score(sample, answer) for sample, answer in zip(samples, answers, strict=True)]
        with Image.open(tmp_path / "pictures" / "1.png") as image:
            assert image.size == (1280, 720)
        without = scorer.score(samples[0], PAGE.format(1).replace("rick.jpg", "other.jpg"))
        words = scorer.score(samples[0], "<think>A page?</think>Page 1")
        assert words == scorer.score(samples[0], "<html><body><p>Page 1</p></body></html>")
    finally:
        scorer.close()
    assert [verdict.outcome for verdict in verdicts] == ["scored", "unparsed", "failed"]
    assert verdicts[0].values["elements"] == pytest.approx(1)
    assert verdicts[0].values["ssim"] == pytest.approx(1)
    assert without.values["ssim"] < 0.9
    assert (words.outcome, words.values["text"]) == ("scored", 1)
    figures = {measure.name: measure for measure in measures(samples, verdicts)}
    assert figures["Design2Code without CLIP"].value == pytest.approx(1 / 3)
    assert "Design2Code" not in figures
    assert figures["Block"].units == ("1", "2", "10")


def test_with_clip_the_published_mean_comes_first_and_what_failed_counts(folder):
    samples = list(load(folder))
    verdicts = [
        Verdict("1", "scored", {"final": 0.9, "clip": 0.8, "elements": 0.92}),
        Verdict("2", "no_answer"),
        Verdict("10", "failed", reason="x"),
    ]
    first, *others = measures(samples, verdicts)
    assert (first.name, first.value) == ("Design2Code", pytest.approx(0.3))
    assert "CLIP" in {measure.name for measure in others}


def test_with_clip_the_published_mean_is_there_where_every_page_failed(folder):
    figures = {}
    for clip in (False, True):
        if clip:
            (folder / "clip").mkdir()
            (folder / "clip" / "config.json").write_text("{}")
        samples = list(load(folder))
        found = measures(samples, [Verdict(sample.id, "failed", reason="x") for sample in samples])
        figures[clip] = [(measure.name, measure.value) for measure in found]
    assert figures[True][0] == ("Design2Code", 0)
    assert ("CLIP", 0) in figures[True]
    assert not {("Design2Code", 0), ("CLIP", 0)} & {*figures[False]}


def test_by_layout_the_same_page_is_right_and_another_is_not(folder, tmp_path):
    samples = list(load(folder))
    answers = [f"```html\n{PAGE.format(1)}\n```", " \n", "<html><body><p>else</p></body></html>"]
    scorer = start_layout_scorer(Folders(tmp_path / "pictures", folder, tmp_path / "kept"))
    try:
        verdicts = [scorer.score(sample, answer) for sample, answer in zip(samples, answers, strict=True)]
    finally:
        scorer.close()
    assert [verdict.outcome for verdict in verdicts] == ["scored", "unparsed", "scored"]
    assert (tmp_path / "pictures" / "1.png").is_file()
    assert verdicts[0].values["elements"] == pytest.approx(1)
    assert verdicts[2].values["elements"] < 0.6
    figures = {measure.name: measure.value for measure in layout_measures(samples, verdicts)}
    assert figures["Block, by layout"] == pytest.approx((1 + verdicts[2].values["block"]) / 3)
    assert DESIGN2CODE_LAYOUT.answers_of == "design2code"

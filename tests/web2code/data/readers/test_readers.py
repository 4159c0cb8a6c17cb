"""Every reader on a small file in exactly its public layout, and on what is wrong with real downloads."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from tests.web2code.data import layouts
from web2code.data.images import load_image
from web2code.data.readers import READERS
from web2code.data.sample import Rejected, Sample
from web2code.data.sources import SOURCES

WRITE = {
    "llava-instruct-150k": layouts.write_llava_instruct,
    "llava-mix665k": layouts.write_llava_mix665k,
    "llava-pretrain": layouts.write_llava_pretrain,
    "llavar2": layouts.write_llavar2,
    "pix2code": layouts.write_pix2code,
    "scienceqa": layouts.write_scienceqa,
    "vsft": layouts.write_vsft,
    "web2code": layouts.write_web2code,
    "websight": layouts.write_websight,
    "websrc": layouts.write_websrc,
    "wub": layouts.write_wub,
}


def read(name: str, root: Path) -> tuple[list[Sample], list[Rejected]]:
    WRITE[name](root)
    rows = list(READERS[name](root))
    return [row for row in rows if isinstance(row, Sample)], [row for row in rows if isinstance(row, Rejected)]


@pytest.mark.parametrize("name", sorted(READERS))
def test_samples_are_complete(name, tmp_path):
    samples, _ = read(name, tmp_path)
    assert samples
    assert len({sample.id for sample in samples}) == len(samples)
    assert {sample.part for sample in samples} == set(SOURCES[name].parts)
    for sample in samples:
        assert sample.licence
        assert sample.part
        assert sample.messages[0].role == "user"
        assert "<image>" not in sample.messages[0].text
        assert sample.answer
        if sample.image is not None:
            assert load_image(sample.image)


@pytest.mark.parametrize("name", sorted(READERS))
def test_an_empty_folder_is_one_sentence(name, tmp_path):
    with pytest.raises(ValueError, match=r"download"):
        list(READERS[name](tmp_path))


def test_web2code(tmp_path):
    samples, rejected = read("web2code", tmp_path)
    assert [sample.part for sample in samples] == ["DWCG", "DWCG_R", "DWU", "DWU_R"]
    assert samples[0].messages[0].text == "Write HTML."
    assert samples[0].html == layouts.HTML
    # A record of another folder finds its picture by base name.
    assert samples[1].image.member == "Web2Code_image/part2/00022.png"
    # In an answer the markers are text.
    assert samples[2].pairs() == [("What is it?", "A shop."), ("What does it sell?", "Tea. </s> <image>")]
    assert [(row.reason, row.detail) for row in rejected] == [("image not found", "missing.png")]


def test_wub_items_are_held_out(tmp_path):
    samples, rejected = read("wub", tmp_path)
    assert [(sample.split, sample.answer) for sample in samples] == [("eval", "Yes"), ("eval", "No")]
    assert [row.reason for row in rejected] == ["no question or no yes/no answer"]


@pytest.mark.parametrize("version", ["v0.1", "v0.2"])
def test_websight(version, tmp_path):
    layouts.write_websight(tmp_path, version)
    rows = list(READERS["websight"](tmp_path))
    samples = [row for row in rows if isinstance(row, Sample)]
    assert {sample.source for sample in samples} == {f"websight-{version}"}
    assert [sample.html.count("Tea") for sample in samples] == [1, 1, 1]
    assert Counter(row.reason for row in rows if isinstance(row, Rejected)) == {
        "image not found": 1, "text is no HTML document": 1,
    }  # fmt: skip


def test_mix665k_repairs_and_reports(tmp_path):
    samples, rejected = read("llava-mix665k", tmp_path)
    images = {sample.id.rsplit("/", 1)[-1]: sample.image for sample in samples}
    assert images["2"].path.name == "140031996X.png"  # named .jpg by the record
    assert (images["4"].path.parent.name, images["5"].path.parent.name) == ("VG_100K", "VG_100K_2")
    assert images["share"] is None
    leading = next(sample for sample in samples if sample.id.endswith("gpt-first"))
    assert leading.pairs() == [("Hi", "Hello")]  # an answer that nothing was asked for is dropped
    assert [row.detail for row in rejected] == ["ocr_vqa/images/gone.jpg"]


def test_llavar2_keeps_groups_of_four(tmp_path):
    samples, rejected = read("llavar2", tmp_path)
    assert [(sample.part, len(sample.messages)) for sample in samples] == [("LLaVAR-2", 8), ("LLaVAR-2-captions", 2)]
    assert [row.reason for row in rejected] == ["turns are not in groups of four"]


def test_vsft_takes_one_picture(tmp_path):
    samples, rejected = read("vsft", tmp_path)
    assert [sample.image is None for sample in samples] == [False, True]
    assert [row.reason for row in rejected] == ["more than one image"]


def test_websrc_groups_by_page(tmp_path):
    samples, rejected = read("websrc", tmp_path)
    assert [(sample.page, len(sample.pairs())) for sample in samples] == [
        ("websrc/auto/03/0300542", 3), ("websrc/auto/03/0300562", 1),
    ]  # fmt: skip
    assert [row.id for row in rejected] == ["websrc/auto/03/0300599"]


@pytest.mark.parametrize(("write", "left_out"), [
    (layouts.write_scienceqa, [
        ("scienceqa/20", "answer is none of the options", ""), ("scienceqa/21", "image not found", "21/image.png"),
        ("scienceqa/22", "record is no object", ""),
    ]),
    (layouts.write_scienceqa_converted, [("scienceqa/3/21", "image not found", "21/image.png")]),
    (layouts.write_scienceqa_parquet, [
        ("scienceqa/train-00000-of-00001-1028f23e353fbe3e/3", "answer is none of the options", ""),
        ("scienceqa/train-00000-of-00001-1028f23e353fbe3e/4", "image not found", ""),
    ]),
])  # fmt: skip
def test_scienceqa_is_what_llava_trains_on_in_every_layout(write, left_out, tmp_path):
    write(tmp_path)
    rows = list(READERS["scienceqa"](tmp_path))
    samples = [row for row in rows if isinstance(row, Sample)]
    assert [pair for sample in samples for pair in sample.pairs()] == list(layouts.CONVERTED.values())
    # No other picture is taken for the one that is missing, though it has the same name.
    assert [sample.image is None for sample in samples] == [False, True, True]
    assert load_image(samples[0].image) == layouts.picture()
    assert {(sample.split, sample.licence) for sample in samples} == {("train", "CC-BY-NC-SA-4.0")}
    assert [(row.id, row.reason, row.detail) for row in rows if isinstance(row, Rejected)] == left_out


@pytest.mark.parametrize(("change", "reason"), [
    ({"question": " "}, "no question"), ({"question": None}, "no question"), ({"hint": 7}, "no question"),
    ({"choices": []}, "no options"), ({"choices": "AB"}, "no options"), ({"choices": ["x"] * 27}, "no options"),
    ({"answer": -1}, "answer is none of the options"), ({"answer": "A"}, "answer is none of the options"),
    ({"answer": None}, "answer is none of the options"),
])  # fmt: skip
def test_a_question_of_scienceqa_that_lacks_something_is_a_row_with_a_reason(tmp_path, change, reason):
    layouts.write_scienceqa(tmp_path)
    layouts.write_json(tmp_path / "problems.json", {**layouts.PROBLEMS, "12": {**layouts.PROBLEMS["12"], **change}})
    rows = {row.id: row for row in READERS["scienceqa"](tmp_path)}
    assert rows["scienceqa/12"].reason == reason
    assert isinstance(rows["scienceqa/7"], Sample)


@pytest.mark.parametrize(("name", "content", "sentence"), [
    ("problems.json", "{", "problems.json is no whole JSON object: download it again"),
    ("pid_splits.json", "[]", "pid_splits.json is no whole JSON object: download it again"),
    ("pid_splits.json", "{}", "pid_splits.json has no list 'train': download it again"),
])  # fmt: skip
def test_a_broken_file_of_scienceqa_is_one_sentence(tmp_path, name, content, sentence):
    layouts.write_scienceqa(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=sentence):
        list(READERS["scienceqa"](tmp_path))


def test_pictures_of_scienceqa_that_were_not_unpacked_are_asked_for(tmp_path):
    layouts.write_scienceqa(tmp_path)
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"holds no images/train and no train: unpack the train.zip of ScienceQA"):
        list(READERS["scienceqa"](tmp_path))


def test_a_hostile_archive_cannot_leave_its_folder(tmp_path):
    layouts.write_web2code(tmp_path)
    with zipfile.ZipFile(tmp_path / "Web2Code_image.zip", "a") as archive:
        archive.writestr("../../outside.png", layouts.picture())
    rows = list(READERS["web2code"](tmp_path))
    assert [row.id for row in rows if isinstance(row, Rejected) and "leaves" in row.reason][:1] == ["../../outside.png"]
    assert not (tmp_path.parent / "outside.png").exists()


def test_a_truncated_file_is_one_sentence_and_keeps_what_came_before(tmp_path):
    layouts.write_web2code(tmp_path)
    path = tmp_path / "Web2Code.json"
    path.write_text(path.read_text()[:-40])
    reader = READERS["web2code"](tmp_path)
    assert isinstance(next(reader), Sample)
    with pytest.raises(ValueError, match=r"Web2Code\.json ends inside element 2.*download it again"):
        list(reader)


def test_a_broken_archive_is_one_sentence(tmp_path):
    layouts.write_web2code(tmp_path)
    path = tmp_path / "Web2Code_image.zip"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="no whole zip archive"):
        list(READERS["web2code"](tmp_path))


def test_malformed_records_are_rows_with_reasons(tmp_path):
    layouts.write_web2code(tmp_path)
    turns: list = [None, [], "x", [{"from": "robot", "value": "x"}], [{"from": "human", "value": None}]]
    bad = ["text", {"id": 1}, {"id": 2, "image": 7}, *({"id": 3, "conversations": value} for value in turns)]
    (tmp_path / "Web2Code.json").write_text(json.dumps(bad))
    rejected = [row for row in READERS["web2code"](tmp_path) if isinstance(row, Rejected)]
    assert len(rejected) == len(bad)
    assert all(row.reason for row in rejected)

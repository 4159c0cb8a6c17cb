"""Which of a benchmark's files are read, and what in them is refused before anything is asked."""

import base64
import zipfile

import pytest

from web2code.evaluation.benchmarks import BENCHMARKS
from web2code.evaluation.benchmarks.design2code import PLACEHOLDER
from web2code.evaluation.benchmarks.llava_bench import IN_THE_WILD

from .public_files import FILES, mmbench_rows, png, write_llava_bench, write_parquet, write_table

BLANK = {"hint": "", "category": "c", "split": "validation"}
# Rows that all of the tables below can be read from.
ROWS = [
    {"index": "1", "question": "What?", "answer": "A", "A": "a", "B": "b", "image": base64.b64encode(png()).decode(),
     **BLANK},
]  # fmt: skip


@pytest.mark.parametrize("name", ["ai2d", "chartqa", "docvqa", "mathvista", "mmmu", "pope", "scienceqa", "textvqa"])
@pytest.mark.parametrize("other", ["train-00000-of-00001.parquet", "dev.parquet", "train/0000.parquet"])
def test_another_split_is_not_the_benchmark(tmp_path, name, other):
    FILES[name][0](tmp_path / "whole")
    path = next(path for path in (tmp_path / "whole").rglob("*.parquet") if "train" not in path.name)
    (tmp_path / "alone" / other).parent.mkdir(parents=True)
    path.rename(tmp_path / "alone" / other)
    with pytest.raises(ValueError, match=f"{other}, which is another split, language or version: fetch"):
        list(BENCHMARKS[name].load(tmp_path / "alone"))
    (tmp_path / "alone" / other).rename(tmp_path / "alone" / "mine.parquet")
    (tmp_path / "alone" / "._mine.parquet").write_bytes(b"\0\5\26\7")
    assert list(BENCHMARKS[name].load(tmp_path / "alone"))


@pytest.mark.parametrize(("name", "other"), [
    ("mmbench", "MMBench_DEV_CN"), ("mmbench", "MMBench_TEST_EN"), ("mmbench", "MMBench_DEV_EN_V11"),
    ("mmbench", "mmbench-dev-cn"), ("ai2d", "AI2D_TEST_NO_MASK"), ("scienceqa_img", "ScienceQA_VAL"),
    ("docvqa", "DocVQA_TEST"), ("textvqa", "TextVQA_TRAIN"), ("gqa", "GQA_Train_Balanced"), ("mmmu", "MMMU_TEST"),
    ("pope", "POPE_CN"), (IN_THE_WILD.name, "LLaVABench_KO"),
])  # fmt: skip
def test_another_variant_of_a_table_is_not_the_benchmark(tmp_path, name, other):
    write_table(tmp_path / f"{other}.tsv", ROWS)
    with pytest.raises(ValueError, match=f"{other}.tsv, which is another split, language or version") as raised:
        list(BENCHMARKS[name].load(tmp_path))
    assert BENCHMARKS[name].fetch in str(raised.value)


@pytest.mark.parametrize("called", ["MMBench_DEV_EN", "mmbench_en", "mine", "MMBench"])
def test_a_table_is_read_under_its_published_name_or_one_that_says_nothing_else(tmp_path, called):
    write_table(tmp_path / f"{called}.tsv", mmbench_rows())
    write_table(tmp_path / "MMBench_DEV_CN.tsv", ROWS)
    assert len(list(BENCHMARKS["mmbench"].load(tmp_path))) == len(mmbench_rows())


def test_forms_for_training_are_not_the_benchmark(tmp_path):
    FILES["funsd"][0](tmp_path)
    (tmp_path / "testing_data").rename(tmp_path.parent / f"{tmp_path.name} elsewhere")
    with pytest.raises(ValueError, match=r"holds no annotations/\*\.json for testing: fetch"):
        list(BENCHMARKS["funsd"].load(tmp_path))


@pytest.mark.parametrize(("name", "answer"), [
    ("ai2d", "AB"), ("mmbench", "nan"), ("mmbench", ""), ("mmbench", "C"), ("docvqa", "nan"), ("gqa", ""),
    ("gqa", "nan"), ("textvqa", "nan"), ("mmmu", "nan"), ("mmmu", "C"),
])  # fmt: skip
def test_a_cell_without_an_answer_is_no_true_answer(tmp_path, name, answer):
    subject = {"id": "validation_Art_1", "question_type": "multiple-choice"}
    write_table(tmp_path / "mine.tsv", [{**ROWS[0], **subject, "answer": answer}])
    with pytest.raises(ValueError, match=r"the letter of no option|there is no answer"):
        list(BENCHMARKS[name].load(tmp_path))


# No picture, one that is cut off, and a kind that not all decoders take.
BAD = {"text": b"no picture", "cut": png(size=99)[:900], "tiff": png(form="TIFF")}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_picture_that_engines_would_not_decode_is_named_before_anything_is_asked(tmp_path, bad):
    row = {"question_id": "1", "question": "Is it?", "answer": "yes", "category": "random"}
    write_parquet(tmp_path / "pope" / "test.parquet", [
        {**row, "image": {"bytes": shown, "path": "x.png"}} for shown in (png(), bad)
    ])  # fmt: skip
    FILES["wub"][0](tmp_path)
    with zipfile.ZipFile(tmp_path / "Web2Code_image_eval.zip", "w") as archive:
        archive.writestr("web2code_images/00021.png", bad)
    (tmp_path / "llava").mkdir()
    write_llava_bench(tmp_path / "llava", IN_THE_WILD)
    (tmp_path / "llava" / "images" / "1.png").write_bytes(bad)
    (tmp_path / "pages").mkdir()
    for page, content in (("1.html", b"<p>x"), ("1.png", bad), (PLACEHOLDER, png())):
        (tmp_path / "pages" / page).write_bytes(content)
    for name, element, what in (
        ("pope", "pope", "row 1: picture x.png"), ("wub", ".", "row 0: picture 00021.png"),
        (IN_THE_WILD.name, "llava", "picture .*/images/1.png"), ("design2code", "pages", "picture .*/pages/1.png"),
    ):  # fmt: skip
        told = rf"{what}: image does not decode: it has to be a whole PNG, JPEG, WEBP, GIF or BMP .*; fetch"
        with pytest.raises(ValueError, match=told):
            list(BENCHMARKS[name].load(tmp_path / element))


def test_pictures_of_all_kinds_that_are_decoded_are_taken(tmp_path):
    row = {"question_id": "1", "question": "Is it?", "answer": "yes", "category": "random"}
    kinds = [png(form=form) for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP")]
    write_parquet(tmp_path / "test.parquet", [{**row, "image": kind} for kind in kinds])
    assert [sample.images for sample in BENCHMARKS["pope"].load(tmp_path)] == [(kind,) for kind in kinds]

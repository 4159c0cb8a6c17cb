import pytest

from tests.tasks.datasets import make_rows, write_dataset
from web2code import dataset


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    write_dataset(folder, make_rows())
    return folder


def test_rows_come_back_as_they_were_written(data):
    rows = make_rows()
    assert dataset.read_rows(data, "train") + dataset.read_rows(data, "eval") == rows
    assert dataset.read_rows(data, "eval", ["id"]) == [{"id": row["id"]} for row in rows if row["split"] == "eval"]


def test_the_same_rows_give_the_same_bytes(data, tmp_path):
    again = write_dataset(tmp_path / "again", make_rows())
    assert again.shards == dataset.load_record(data).shards


@pytest.mark.parametrize(("damage", "problem"), [("delete", "is missing"), ("flip", "is corrupt")])
def test_a_damaged_shard_is_named_with_what_to_do(data, damage, problem):
    shard = data / "train-00000.parquet"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.unlink() if damage == "delete" else shard.write_bytes(content)
    with pytest.raises(ValueError, match=rf"train-00000\.parquet {problem}: run 'dvc checkout"):
        dataset.verify_shards(data)


def test_a_folder_without_a_dataset_says_so(tmp_path):
    with pytest.raises(ValueError, match="is missing: run 'dvc checkout"):
        dataset.load_record(tmp_path)


@pytest.mark.parametrize(
    ("html", "parses"),
    [("<html><body>a</body></html>", True), ("<p>a</p>", False), ("", False), ("<html", False)],
)
def test_only_documents_with_a_body_parse(html, parses):
    assert dataset.html_parses(html) == parses


def test_a_picture_that_is_cut_off_does_not_decode():
    png = make_rows()[0]["image"]
    assert dataset.image_decodes(png)
    assert not dataset.image_decodes(png[: len(png) // 2])

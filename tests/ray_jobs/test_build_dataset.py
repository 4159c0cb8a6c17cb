from pathlib import Path

import pytest

from ray_jobs.build_dataset import main
from web2code import dataset
from web2code.artifacts import verify
from web2code.config import BuildJob, PagesConfig, Viewport, Where

VIEWPORT = Viewport(width=128, height=128)


def job(home, folder="", **pages):
    where = Where(home=str(home), data_dir=str(home / "data"), pages_folder=str(folder))
    return BuildJob(where=where, pages=PagesConfig(viewport=VIEWPORT, **pages))


@pytest.fixture(scope="module")
def built(local_ray, tmp_path_factory):
    made = job(tmp_path_factory.mktemp("built"), num_train=300, num_eval=6, seed=1)
    return made, main(made)


def test_every_page_is_there_once_with_its_picture(built):
    made, record = built
    out = Path(made.output())
    verify(made.output())
    rows = [row for split in ("train", "eval") for row in dataset.read_rows(out, split)]
    assert (record.num_train, record.num_eval, record.num_pages) == (300, 6, 306)
    assert len({row["id"] for row in rows}) == 306
    assert all(row["html_parses"] and row["image_decodes"] and row["width"] == 128 for row in rows)
    assert [shard.num_rows for shard in record.shards] == [240, 60, 6]
    assert record.num_questions == sum(len(row["questions"]) for row in rows)
    assert record.licences == ("CC0-1.0",)


def test_after_a_kill_shards_that_are_there_are_kept_and_the_rest_is_the_same(built, tmp_path):
    made, record = built
    again = job(tmp_path, num_train=300, num_eval=6, seed=1)
    out = Path(again.output())
    out.mkdir(parents=True)
    first = record.shards[0].path
    (out / first).write_bytes((Path(made.output()) / first).read_bytes())
    (out / "train-00001.unfinished").write_bytes(b"half a shard")
    kept = (out / first).stat().st_mtime_ns
    assert main(again).shards == record.shards
    assert (out / first).stat().st_mtime_ns == kept


def test_a_folder_of_documents_becomes_pages_and_what_is_left_out_is_counted(local_ray, tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(12):
        text = f"<html><body><h1>Chapter {number}</h1><p>{'word ' * 20}{number}</p></body></html>"
        (folder / f"{number}.html").write_text(text)
    (folder / "copy.html").write_text((folder / "1.html").read_text())
    (folder / "empty.html").write_text("<html><body></body></html>")
    made = job(tmp_path, folder, source="folder", folder_digest="x", num_train=50, num_eval=4)
    record = main(made)
    assert (record.num_train, record.num_eval) == (10, 2)
    assert record.num_dropped == 1  # the copy; a document without text gives no page
    train, held_out = (dataset.read_rows(made.output(), split) for split in ("train", "eval"))
    assert not {row["source"] for row in train} & {row["source"] for row in held_out}
    assert {row["html"] for row in train}.isdisjoint(row["html"] for row in held_out)

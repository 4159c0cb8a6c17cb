import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tasks import expectations, validate
from tasks.reuse import take_reuse
from tests.tasks.datasets import make_rows, write_dataset
from web2code import dataset

validate_dataset = validate.validate_dataset.fn
ROOT = Path(__file__).parents[2]


def same_html(rows):
    for name in ("html", "html_sha256", "html_chars"):
        rows[7][name] = rows[2][name]


def same_pictures(rows):
    for row in rows[:4]:
        row["image_sha256"] = rows[0]["image_sha256"]


def set_row(number, **values):
    return lambda rows: rows[number].update(values)


BAD = {
    "an id twice": (set_row(3, id="generated-0-000001"), "to_be_unique on id", "generated-0-000001"),
    "no id": (set_row(3, id=None), "not_be_null on id", "1 bad row"),
    "no licence": (set_row(4, licence=""), "licence", "generated-0-000004"),
    "no source": (set_row(4, source=None), "not_be_null on source", "generated-0-000004"),
    "a doctype first": (set_row(0, html="<!doctype html><html></html>"), "match_regex on html", "generated-0-000000"),
    "html that does not parse": (set_row(5, html_parses=False), "html_parses", "generated-0-000005"),
    "html that is too long": (set_row(5, html_chars=300_000), "html_chars", "generated-0-000005"),
    "a picture that does not decode": (set_row(5, image_decodes=False), "image_decodes", "generated-0-000005"),
    "a page without height": (set_row(1, height=0), "between on height", "generated-0-000001"),
    "an empty picture": (set_row(1, image_bytes=0), "image_bytes", "generated-0-000001"),
    "an answer that is no answer": (
        set_row(2, questions=[{"question": "Is it?", "answer": "Perhaps", "kind": "x"}], num_questions=1),
        "answers_valid",
        "generated-0-000002",
    ),
    "questions that are null": (set_row(2, questions=None), "answers_valid", "generated-0-000002"),
    "a wrong number of questions": (set_row(2, num_questions=1), "questions_counted", "generated-0-000002"),
    "a wrong hash": (set_row(2, html_sha256="0" * 64), "html_hashed", "generated-0-000002"),
    "a page on both sides of the split": (same_html, "one_side_of_split on html_sha256", "2 bad row"),
    "the same picture again and again": (same_pictures, "unique_values_to_be_between on image_sha256", "found 0.7"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_rows_are_refused_by_name(case, tmp_path):
    edit, expectation, found = BAD[case]
    rows = make_rows()
    edit(rows)
    write_dataset(tmp_path / "data", rows)
    with pytest.raises(ValueError, match="refused by") as refusal:
        validate_dataset(tmp_path / "data", "v1", tmp_path / "home")
    assert expectation in str(refusal.value)
    assert found in str(refusal.value)
    assert not (tmp_path / "home" / "artifacts").exists()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    write_dataset(folder / "data", make_rows())
    return folder, validate_dataset(folder / "data", "v1", folder / "home")


def test_good_data_passes_and_its_data_docs_show_every_expectation(good):
    _, record = good
    assert record.success
    assert record.dataset_version == "v1"
    assert record.num_rows == 10
    assert record.num_expectations == len(expectations.page_expectations())
    pages = [path.read_text() for path in Path(record.data_docs).parent.rglob("validations/**/*.html")]
    assert pages
    assert "No page is in both splits" in pages[0]


def test_the_same_version_is_checked_once_and_without_great_expectations(good):
    folder, record = good
    code = (
        "import sys; from pathlib import Path; from tasks.validate import validate_dataset\n"
        "print(validate_dataset.fn(Path(sys.argv[1]), 'v1', Path(sys.argv[2])).model_dump_json())\n"
        "assert 'great_expectations' not in sys.modules"
    )
    arguments = [str(folder / "data"), str(folder / "home")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == record.model_dump_json()


def test_another_version_is_checked_again(good, tmp_path):
    folder, _ = good
    rows = make_rows()
    rows[0]["licence"] = ""
    write_dataset(tmp_path / "data", rows)
    with pytest.raises(ValueError, match="licence"):
        validate_dataset(tmp_path / "data", "v2", folder / "home")
    assert not take_reuse()


def test_a_context_that_was_left_half_written_does_not_stop_the_gate(tmp_path):
    rows = make_rows()
    write_dataset(tmp_path / "data", rows)
    record = validate_dataset(tmp_path / "data", "v1", tmp_path / "home")
    shutil.rmtree(tmp_path / "home" / "artifacts")
    for path in (tmp_path / "home" / "gx").rglob("*.yml"):
        path.write_text("config_version: [")
    assert validate_dataset(tmp_path / "data", "v1", tmp_path / "home") == record


def test_an_expectation_that_cannot_be_computed_is_no_verdict_on_the_data(tmp_path):
    rows = [{name: value for name, value in row.items() if name != "image"} for row in make_rows()]
    manifest = pd.DataFrame(rows).drop(columns=["image_bytes"])
    with pytest.raises(validate.GateBrokeError, match=r"broke at expect_column_values_to_not_be_null on image_bytes"):
        validate.check_manifest(manifest, "v1", tmp_path / "gx")


def test_data_that_is_certainly_bad_is_refused_though_another_expectation_broke(tmp_path):
    rows = make_rows()
    rows[3]["id"] = rows[1]["id"]
    manifest = pd.DataFrame(rows).drop(columns=["image", "image_bytes"])
    with pytest.raises(ValueError, match="unique on id"):
        validate.check_manifest(manifest, "v1", tmp_path / "gx")


def test_a_shard_that_was_changed_on_the_way_is_refused(tmp_path):
    write_dataset(tmp_path / "data", make_rows())
    dataset.write_shard(tmp_path / "data" / "eval-00000.parquet", make_rows(seed=3)[6:])
    with pytest.raises(ValueError, match=r"eval-00000\.parquet is corrupt"):
        validate_dataset(tmp_path / "data", "v1", tmp_path / "home")


def test_a_manifest_must_tell_what_the_shards_hold(tmp_path):
    write_dataset(tmp_path / "data", make_rows())
    path = tmp_path / "data" / dataset.MANIFEST
    table = pq.read_table(path)
    for changed, match in (
        (table.slice(1), "does not tell what the shards hold"),
        (table.drop_columns(["licence"]), "no column 'licence'"),
    ):
        pq.write_table(changed, path)
        with pytest.raises(ValueError, match=match):
            validate_dataset(tmp_path / "data", "v1", tmp_path / "home")
    path.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="cannot be read"):
        validate_dataset(tmp_path / "data", "v1", tmp_path / "home")

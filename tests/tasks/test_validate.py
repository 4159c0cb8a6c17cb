"""The gate for datasets of samples: each check on rows that fail it, and bad data told apart from a broken gate."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks import validate
from tasks.checkpoint import GateBrokeError
from tasks.validate import ValidationJob, judge
from tests.web2code.data.layouts import picture
from tests.web2code.data.small import drawing, page, sample, write_dataset
from web2code.config import ValidationConfig
from web2code.data.sample import Message, Rejected, dialogue
from web2code.validation.checks import CHECKS

GOOD = [sample(i) for i in range(60)]
HTML_ASK = "Write HTML."


def gate(folder: Path, *against: Path, **options) -> ValidationJob:
    return ValidationJob(
        folder=str(folder / "data"), home=str(folder), against=tuple(map(str, against)),
        gate=ValidationConfig(**{"max_quarantined": 0.5, **options}),
    )  # fmt: skip


def test_good_data_passes_with_data_docs(tmp_path):
    write_dataset(tmp_path / "data", [*GOOD, sample(99, split="eval")])
    record = judge(gate(tmp_path, max_quarantined=0.0))
    assert record.success
    assert record.num_rows == 61
    assert all(check.num_bad == 0 for check in record.checks.values())
    assert Path(record.data_docs).exists()
    assert record.checks.keys() == CHECKS.keys()


LONG = dialogue([(HTML_ASK, "<html><body>" + "word " * 3000 + "</body></html>")])
BAD = {
    "id_unique": [sample(100), sample(101, id="s100")],
    "licence_present": [sample(100, licence=" ")],
    "roles_alternate": [
        sample(100, messages=(Message("user", "a"), Message("assistant", page(1)), Message("user", "b")))
    ],
    "no_empty_message": [sample(100, messages=dialogue([(" ", page(100))]))],
    "html_has_body": [sample(100, messages=dialogue([(HTML_ASK, "<html></html>")]))],
    "picture_in_bounds": [sample(100, image=picture(size=(8, 400)))],
    "answers_trained": [sample(100, messages=dialogue([("word " * 3000, page(100))]))],
    "fits_context": [sample(100, messages=LONG)],
    "no_marker_in_answer": [sample(100, messages=dialogue([(HTML_ASK, page(100).replace("word100x1", "<s>old</s>"))]))],
    "no_personal_data": [sample(100, messages=dialogue([(HTML_ASK, page(100).replace("word100x1", "bob@acme.io"))]))],
    "no_near_duplicate": [
        sample(100),
        sample(101, image=drawing(100), messages=dialogue([(HTML_ASK, page(100) + " ")])),
    ],
    "not_contaminated": [sample(100), sample(101, split="eval", image=drawing(100))],
}


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_each_check_names_its_rows(check, tmp_path):
    write_dataset(tmp_path / "data", [*GOOD, *BAD[check]])
    record = judge(gate(tmp_path))
    found = record.checks[check]
    assert found.num_bad == 1
    assert found.examples[0] in {one.id for one in BAD[check]}
    quarantine = pq.read_table(gate(tmp_path).output() / "quarantine.parquet").to_pylist()
    expected = [check] if found.severity == "block" else []
    assert [reason for row in quarantine for reason in row["reason"].split(", ") if reason == check] == expected


def test_a_counted_check_can_be_made_to_block(tmp_path):
    write_dataset(tmp_path / "data", [*GOOD, *BAD["no_personal_data"]])
    job = gate(tmp_path, warn=())
    assert judge(job).num_quarantined == 1
    assert pq.read_table(job.output() / "quarantine.parquet").to_pylist() == [
        {"id": "s100", "reason": "no_personal_data"}
    ]


def test_too_many_bad_rows_are_one_sentence_each_time(tmp_path):
    write_dataset(tmp_path / "data", [*GOOD, sample(100, licence="")], [Rejected("x", "test", "image not found")])
    expected = (
        r"2 of 62 rows were left out, over 2\.0% of them, most by licence_present \(1 rows: s100\); see .*index\.html"
    )
    for _ in range(2):
        with pytest.raises(ValueError, match=expected):
            judge(gate(tmp_path, max_quarantined=0.02))


@pytest.mark.parametrize(("reason", "mend"), [
    ("image not found", "put the missing pictures where their source names them"),
    ("no answer", "mend the source"),
])  # fmt: skip
def test_rows_that_the_build_left_out_are_what_is_blamed_where_they_are_most(tmp_path, reason, mend):
    left_out = [
        *(Rejected(f"x{i}", "test", reason, f"images/{i}.png" if i else "") for i in range(7)),
        Rejected("y", "test", "record is no object"),
    ]
    record = write_dataset(tmp_path / "data", [*GOOD, sample(100, licence="")], left_out)
    with pytest.raises(ValueError, match="the dataset was refused") as refused:
        judge(gate(tmp_path, max_quarantined=0.02))
    assert str(refused.value) == (
        f"the dataset was refused: 9 of 69 rows were left out, over 2.0% of them, most by the build: {reason} (7 rows: "
        f"x0, images/1.png, images/2.png, images/3.png, images/4.png); see {tmp_path / 'data' / record.quarantine}, "
        f"{mend} or raise max_quarantined, and run again"
    )


def test_a_damaged_shard_is_found_before_anything_is_judged(tmp_path):
    record = write_dataset(tmp_path / "data", GOOD)
    shard = tmp_path / "data" / record.shards[0].path
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=f"{re.escape(str(shard))} is corrupt"):
        judge(gate(tmp_path))


def test_a_gate_that_breaks_says_nothing_about_the_data(tmp_path, monkeypatch):
    write_dataset(tmp_path / "data", GOOD)
    whole = validate.check_rows

    def without_a_column(*arguments):
        frame, audit = whole(*arguments)
        return frame.drop(columns="id_unique"), audit

    monkeypatch.setattr(validate, "check_rows", without_a_column)
    with pytest.raises(GateBrokeError, match=r"the data gate broke at .* so the data is not judged"):
        judge(gate(tmp_path))
    monkeypatch.undo()
    assert judge(gate(tmp_path)).success


def test_held_out_sets_of_others_must_not_be_trained_on(tmp_path):
    write_dataset(tmp_path / "data", GOOD)
    benchmark = [
        sample(7, id="b7", split="eval", messages=dialogue([("Is it blue?", "Yes")])),
        sample(200, split="eval"),
    ]
    write_dataset(tmp_path / "benchmark", benchmark)
    record = judge(gate(tmp_path, tmp_path / "benchmark"))
    assert record.checks["not_contaminated"].examples == ("s7",)
    assert judge(gate(tmp_path, tmp_path / "benchmark", contamination="both")).checks["not_contaminated"].num_bad == 0


def test_short_texts_are_no_contamination(tmp_path):
    short = [sample(i, image=None, messages=dialogue([("Is it blue?", "Yes")])) for i in range(3)]
    write_dataset(tmp_path / "data", [*short, sample(9, split="eval", messages=dialogue([("Is it red?", "Yes")]))])
    assert judge(gate(tmp_path)).checks["not_contaminated"].num_bad == 0


def test_the_audit_tells_what_the_label_mask_would_do(tmp_path):
    cut = sample(100, messages=dialogue([("Q", "word " * 3000)]))
    untrained = sample(101, messages=dialogue([("word " * 3000, "never reached")]))
    marked = sample(102, messages=dialogue([("Q", "a </s> b")]))
    write_dataset(tmp_path / "data", [*GOOD[:7], cut, untrained, marked])
    record = judge(gate(tmp_path))
    assert (record.cut_share, record.untrained_share, record.marker_share) == pytest.approx((0.2, 0.1, 0.1))


def test_one_non_commercial_part_marks_the_dataset(tmp_path):
    write_dataset(tmp_path / "data", [*GOOD, sample(100, licence="CC-BY-NC-4.0", part="mix665k")])
    record = judge(gate(tmp_path))
    assert record.non_commercial
    assert record.licences == ("CC-BY-NC-4.0", "MIT")

"""Runs of a stage that were left unfinished, and that another of the same stage does not go on with."""

import json

import pytest

from ray_jobs.train import checkpoint_folder
from ray_jobs.unfinished import IDENTITY, note_identity, unfinished_others
from tests.ray_jobs.test_attempts import STAGE
from web2code.artifacts import publish
from web2code.config import PreparedRecord, TrainJob, Where


def prepare(home, name, dataset="pages-1"):
    """What a prepared dataset's record says of it."""
    folder = home / "artifacts" / "prepared" / name
    folder.mkdir(parents=True)
    record = PreparedRecord(
        fingerprint=name, dataset_version=dataset, num_parameters=1, vocab_size=1, num_samples={}, num_truncated=0,
        mean_tokens=1.0,
    )  # fmt: skip
    publish(folder, str(folder), record)


def job(home, prepared="one", seed=0, **changes):
    stage = STAGE.model_copy(update=changes)
    return TrainJob(where=Where(home=str(home), data_dir="data"), stage=stage, prepared=prepared, seed=seed)


def begin(job, *steps):
    """A run that was ended after these checkpoints; returns its folder."""
    folder = checkpoint_folder(job)
    note_identity(job, folder)
    for step in steps:
        manifest = folder / f"step-{step:08}-by-2" / "manifest-0.json"
        manifest.parent.mkdir()
        manifest.write_text("{}")
    return folder


def told(job):
    return list(unfinished_others(job, checkpoint_folder(job)))


@pytest.fixture
def home(tmp_path):
    prepare(tmp_path, "one")
    prepare(tmp_path, "of the same dataset")
    prepare(tmp_path, "of another dataset", "pages-2")
    return tmp_path


def test_what_lies_where_and_why_it_is_not_continued_is_one_sentence(home):
    folder = begin(job(home), 5, 10)
    (sentence,) = told(job(home, "of the same dataset", learning_rate=1e-3, steps=7))
    assert f"is at step 10 in {folder};" in sentence
    assert "it differs in prepared, stage.learning_rate, stage.steps:" in sentence
    assert sentence.endswith("remove the folder")


def test_other_code_is_another_run(home):
    folder = begin(job(home), 5)
    noted = json.loads((folder / IDENTITY).read_text())
    other = folder.with_name("0123456789abcdef")
    folder.rename(other)
    (other / IDENTITY).write_text(json.dumps(noted | {"code": "of last week"}))
    (sentence,) = told(job(home))
    assert f"is at step 5 in {other}; it is not continued, for it differs in code:" in sentence


def test_nothing_is_told_of_what_is_continued_or_of_something_else(home):
    begin(job(home), 5)
    begin(job(home, name="align"), 5)
    begin(job(home, "of another dataset"), 5)
    begin(job(home, seed=1))  # which has no checkpoint
    broken = begin(job(home, seed=2), 5)
    (broken / IDENTITY).write_text("{")
    assert told(job(home)) == []
    assert len(told(job(home, seed=3))) == 1

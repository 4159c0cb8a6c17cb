import pytest

from web2code.config import BuildJob, DataConfig, StageConfig, TrainJob, Where, digest_folder
from web2code.plan import make_plan


def where(**changes):
    return Where(home="home", data_dir="data", **changes)


def test_where_a_job_runs_does_not_change_its_identity():
    job = BuildJob(where=where(), data=DataConfig(sources=()))
    elsewhere = BuildJob(where=where(num_workers=64, cpus_per_worker=8), data=DataConfig(sources=()))
    assert job.fingerprint() == elsewhere.fingerprint()


def test_what_a_job_does_changes_its_identity():
    job = BuildJob(where=where(), data=DataConfig(sources=()))
    assert job.fingerprint() != BuildJob(where=where(), data=DataConfig(sources=(), seed=1)).fingerprint()


STAGE = StageConfig(
    name="align", trainable=("projector",), zero_stage=2, template="plain", steps=1, global_batch=8, learning_rate=1e-3
)


def test_a_stage_that_one_number_of_workers_began_is_the_same_for_another():
    jobs = [TrainJob(where=where(num_workers=number), stage=STAGE, prepared="p", seed=0) for number in (1, 2)]
    assert jobs[0].fingerprint() == jobs[1].fingerprint()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"held_out": 12}, r"align: set held_out to a multiple of global_batch \(8\)"),
        ({"keep": "best"}, "align: the best checkpoint is known by its held-out loss: set held_out"),
    ],
)
def test_what_is_held_out_is_whole_batches_and_the_best_needs_it(changes, message):
    with pytest.raises(ValueError, match=message):
        StageConfig.model_validate(STAGE.model_dump() | changes)


def test_a_folder_is_known_by_its_content(tmp_path):
    (tmp_path / "a.html").write_text("one")
    first = digest_folder(tmp_path, (".html",))
    (tmp_path / "note.txt").write_text("not a page")
    assert digest_folder(tmp_path, (".html",)) == first
    (tmp_path / "a.html").write_text("two")
    assert digest_folder(tmp_path, (".html",)) != first


@pytest.mark.parametrize(("name", "word"), [("absent", "is not a folder"), ("", "holds no .html")])
def test_a_folder_that_cannot_serve_is_refused_before_anything_starts(tmp_path, monkeypatch, name, word):
    monkeypatch.setenv("WEB2CODE_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=word):
        make_plan("tiny", {}, str(tmp_path / name), None)

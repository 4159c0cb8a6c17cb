import shutil
import sys
from collections import namedtuple

import pytest

from web2code import plan
from web2code.config import PreparedRecord, StageRecord
from web2code.plan import make_plan
from web2code.recipes import resolve

PREPARED = PreparedRecord(
    fingerprint="p", dataset_version="v", num_parameters=1, vocab_size=1, num_samples={}, num_truncated=0, mean_tokens=1
)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEB2CODE_HOME", str(tmp_path / "home"))
    return tmp_path


def test_too_little_disk_space_is_told_before_anything_starts(place, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: usage(10**9, 9 * 10**8, 10**8))
    with pytest.raises(ValueError, match=r"has 0\.1 GB of free disk space and a run needs .*WEB2CODE_HOME"):
        make_plan("tiny", {}, None, None)
    assert not (place / "home").exists()
    assert shutil.disk_usage is plan.shutil.disk_usage


def test_a_source_that_the_mixture_needs_is_asked_for_before_anything_starts(place):
    with pytest.raises(ValueError, match=r"mixture 'none' needs LCS-558K, .* add --source llava-pretrain=FOLDER"):
        make_plan("llava15_7b", {}, None, None)
    for given, message in (
        ({"llava": ""}, "unknown source 'llava'"),
        ({"llava-pretrain": ""}, "write --source llava-pretrain=FOLDER"),
        ({"llava-pretrain": "nowhere"}, "is no folder"),
        ({"llava-pretrain": str(place)}, "needs mix665k.*--source llava-mix665k=FOLDER"),
    ):
        (place / "file").touch()
        with pytest.raises(ValueError, match=message):
            make_plan("llava15_7b", {}, None, None, given)
    assert not (place / "home").exists()


def test_how_it_runs_is_chosen_without_changing_what_it_is(place):
    made = make_plan("tiny", {}, None, None, where={"max_preemptions": 50, "stall_seconds": 1800})
    assert (made.where.max_preemptions, made.where.stall_seconds, made.where.max_failures) == (50, 1800, 2)
    plain = make_plan("tiny", {}, None, None)
    assert made.build_job().fingerprint() == plain.build_job().fingerprint()
    assert made.candidate(PREPARED) == plain.candidate(PREPARED)
    for values, message in (
        ({"home": "elsewhere"}, "where 'home': choose one of cpus_per_worker, gpu, kept_checkpoints, max_failures"),
        ({"max_failures": "many"}, r"where max_failures: .* \(got 'many'\)"),
    ):
        with pytest.raises(ValueError, match=message):
            make_plan("tiny", {}, None, None, where=values)


def test_a_mixture_is_built_from_its_sources_and_judged_on_the_held_out_pages(place):
    folders = {}
    for name in ("llava-pretrain", "llava-mix665k", "web2code"):
        (place / name).mkdir()
        (place / name / "data").write_text("data")
        folders[name] = str(place / name)
    made = make_plan("llava15_7b", {"eval_share": 0.1}, None, None, folders, gpus=8)
    *trained, held_out = made.build_job().data.sources
    assert {source.name: source.parts for source in trained} == {
        "llava-pretrain": ("LCS-558K",), "llava-mix665k": ("mix665k",)
    }  # fmt: skip
    assert all(source.eval_share == 0.1 for source in trained)
    assert (held_out.name, held_out.pages.num_train, held_out.pages.num_eval) == ("generated", 0, 200)
    assert (made.where.num_workers, made.where.gpus_per_worker) == (8, 1)


def test_a_batch_that_does_not_divide_is_told_before_anything_starts(place):
    with pytest.raises(ValueError, match="a global batch of 64 does not split over 3 workers"):
        make_plan("tiny", {}, None, None, workers=3)


def test_gpus_that_are_known_and_too_small_are_told_before_anything_starts(place):
    pages = {"mixture": "pages"}
    with pytest.raises(ValueError, match=r"^(align|instruct) does not fit: .* on each of 4 GPUs, and A100-40 has 39"):
        make_plan("llava15_13b", pages, None, None, gpus=4, where={"gpu": "A100-40"})
    with pytest.raises(ValueError, match=r"^align\.precision: V100-32 .* has no bfloat16"):
        make_plan("llava15_13b", pages, None, None, gpus=4, where={"gpu": "V100-32"})
    with pytest.raises(ValueError, match="unknown GPU 'A200'"):
        make_plan("llava15_13b", pages, None, None, gpus=4, where={"gpu": "A200"})
    assert not (place / "home").exists()
    for gpu in ("unchecked", "B200"):
        assert make_plan("llava15_13b", pages, None, None, gpus=4, where={"gpu": gpu}).where.gpus_per_worker == 1


def test_a_stage_that_trains_the_language_model_has_the_recipes_adapters(place):
    where = make_plan("tiny", {}, None, None).where
    for name, has in (("llava15_7b_lora", True), ("llava15_7b", False)):
        recipe = resolve(name)
        planned = plan.Plan(recipe=recipe, where=where, sources=())
        assert planned.train_job(recipe.align, PREPARED).lora is None
        assert planned.train_job(recipe.instruct, PREPARED).lora == (recipe.model.lora if has else None)


def test_what_four_bits_need_is_told_before_anything_starts(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ValueError, match=r"need bitsandbytes, which is not installed: pip install 'web2code\[qlora\]'"):
        make_plan("llava15_7b_qlora", {"mixture": "pages"}, None, None)
    assert not (place / "home").exists()


def test_where_it_runs_does_not_change_what_it_is(place, monkeypatch):
    first = make_plan("tiny", {}, None, None)
    monkeypatch.setenv("WEB2CODE_HOME", str(place / "elsewhere"))
    second = make_plan("tiny", {}, None, None)
    assert first.where != second.where
    assert first.build_job().fingerprint() == second.build_job().fingerprint()
    jobs = [each.train_job(each.recipe.align, PREPARED) for each in (first, second)]
    assert jobs[0].fingerprint() == jobs[1].fingerprint()


def test_what_is_trained_changes_what_it_is(place):
    first, second = make_plan("tiny", {}, None, None), make_plan("tiny", {"align.steps": 7}, None, None)
    assert first.build_job().fingerprint() == second.build_job().fingerprint()
    jobs = [each.train_job(each.recipe.align, PREPARED) for each in (first, second)]
    assert jobs[0].fingerprint() != jobs[1].fingerprint()


def test_another_content_of_the_folder_is_another_dataset(place):
    pages = place / "pages"
    pages.mkdir()
    (pages / "a.html").write_text("<html><body>a</body></html>")
    first = make_plan("tiny", {}, str(pages), None).build_job().fingerprint()
    (pages / "b.html").write_text("<html><body>b</body></html>")
    assert make_plan("tiny", {}, str(pages), None).build_job().fingerprint() != first


@pytest.mark.parametrize("argument", ["pages", "screenshots"])
def test_a_folder_without_what_is_needed_is_refused(place, argument):
    (place / "empty").mkdir()
    arguments = {"pages": None, "screenshots": None, argument: str(place / "empty")}
    with pytest.raises(ValueError, match=r"holds no .* file: name a folder that does"):
        make_plan("tiny", {}, **arguments)


def test_a_model_that_is_published_whole_has_one_stage_and_needs_its_data_alone(place):
    (place / "data.json").touch()
    with pytest.raises(ValueError, match=r"mixture 'none' needs mix665k, .* add --source llava-mix665k=FOLDER"):
        make_plan("qwen25_vl_7b", {"mixture": "none"}, None, None)
    made = make_plan("qwen25_vl_7b", {"mixture": "none"}, None, None, {"llava-mix665k": str(place)}, gpus=8)
    assert [source.parts for source in made.build_job().data.sources[:-1]] == [("mix665k",)]
    (stage,) = made.recipe.stages
    assert made.candidate(PREPARED) == made.train_job(stage, PREPARED).fingerprint()


def test_the_candidate_of_adapters_is_the_stage_that_trains_them(place):
    made = plan.Plan(recipe=resolve("llava15_7b_lora"), where=make_plan("tiny", {}, None, None).where, sources=())
    align = made.train_job(made.recipe.align, PREPARED)
    instruct = made.train_job(made.recipe.instruct, PREPARED)
    assert made.candidate(PREPARED) == instruct.model_copy(update={"previous": align.fingerprint()}).fingerprint()


def test_the_candidate_is_known_before_anything_is_trained(place):
    planned = make_plan("tiny", {}, None, None)
    align = planned.train_job(planned.recipe.align, PREPARED).fingerprint()
    aligned = StageRecord(
        fingerprint=align, name="align", zero_stage=2, steps=1, first_loss=1, last_loss=1, seconds_to_first_step=1,
        seconds=1,
    )  # fmt: skip
    instruct = planned.train_job(planned.recipe.instruct, PREPARED, aligned)
    assert planned.candidate(PREPARED) == instruct.fingerprint()

import shutil
import sys
from collections import namedtuple

import pytest
from transformers import CONFIG_MAPPING
from typer.testing import CliRunner

from tests.web2code.data.layouts import write_llava_pretrain, write_scienceqa
from tests.web2code.evaluation.benchmarks.public_files import mme, wub
from web2code import plan
from web2code.artifacts import publish
from web2code.cli import app
from web2code.config import PreparedRecord, StageRecord
from web2code.estimate import plan as estimate
from web2code.estimate import processors
from web2code.plan import make_plan
from web2code.recipes import resolve

PREPARED = PreparedRecord(
    fingerprint="p", dataset_version="v", num_parameters=1, vocab_size=1, num_samples={}, num_truncated=0, mean_tokens=1
)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEB2CODE_HOME", str(tmp_path / "home"))
    (tmp_path / "cpuinfo").write_text("flags : avx512_bf16")
    monkeypatch.setattr(processors, "CPUINFO", tmp_path / "cpuinfo")
    has_free(monkeypatch, 10**13)
    return tmp_path


def has_free(monkeypatch, num_bytes):
    """What the disk is said to have; what else is written to a real one while tests run does not matter then."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**13, 10**13 - num_bytes, int(num_bytes)))


def test_a_home_that_is_no_folder_is_refused_by_every_command(place, monkeypatch):
    monkeypatch.setenv("WEB2CODE_HOME", "s3://bucket/home")
    with pytest.raises(ValueError, match="WEB2CODE_HOME is s3://bucket/home, and must be a folder"):
        make_plan("tiny", {}, None, None)
    for command in (["down"], ["data", "validate", "gone"]):
        done = CliRunner().invoke(app, command)
        assert (done.exit_code, done.output.count("must be a folder")) == (2, 1)
    assert not (place / "s3:").exists()


def test_too_little_disk_space_is_told_before_anything_starts(place, monkeypatch):
    has_free(monkeypatch, 10**8)
    with pytest.raises(ValueError, match=r"has 0\.1 GB of free disk space and a run needs 2\.1 GB: .*WEB2CODE_HOME"):
        make_plan("tiny", {}, None, None)
    assert not (place / "home").exists()


def test_checkpoints_and_models_that_the_disk_does_not_hold_are_told_before_anything_starts(place, monkeypatch):
    pages = {"mixture": "pages"}
    has_free(monkeypatch, 250e9)
    # 7.06 B parameters in two bytes: base, both stages; of those but the tower's 0.3 B, 14 bytes in each checkpoint.
    needed = r"has 250\.0 GB of free disk space and a run needs 328\.4 GB \(3 checkpoints of instruct with 94\.6 GB"
    ways = r"and 42\.4 GB of models\): free some, keep fewer \(--where kept_checkpoints=1\), train adapters"
    with pytest.raises(ValueError, match=f"{needed}.* {ways}"):
        make_plan("llava15_7b", pages, None, None)
    assert make_plan("llava15_7b", pages, None, None, where={"kept_checkpoints": 1})
    has_free(monkeypatch, 90e9)
    assert make_plan("llava15_7b_lora", pages, None, None)
    assert not (place / "home").exists()


def test_what_is_there_of_a_run_is_not_asked_for_again(place, monkeypatch):
    pages = {"mixture": "pages"}
    made = make_plan("llava15_7b", pages, None, None)
    align, instruct = made.stage_fingerprints("p")
    sparse(made.home / "artifacts/prepared/p/base/model.safetensors", 14e9)
    sparse(made.home / "checkpoints" / instruct / "step-00000001-by-1" / "state.pt", 94e9)
    has_free(monkeypatch, 328.5e9 - 108e9)
    assert make_plan("llava15_7b", pages, None, None)
    has_free(monkeypatch, 328.3e9 - 108e9)
    with pytest.raises(ValueError, match=r"42\.4 GB of models, less 108\.0 GB that are there already\)"):
        make_plan("llava15_7b", pages, None, None)
    has_free(monkeypatch, 3e9)
    for fingerprint in (align, instruct):
        output = made.home / "artifacts" / "stage" / fingerprint
        output.mkdir(parents=True)
        publish(output, str(output), PREPARED)
    assert make_plan("llava15_7b", pages, None, None), "a run that is finished writes no checkpoint"


def sparse(path, size):
    """A file that looks so large and takes no room."""
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(int(size))


@pytest.mark.parametrize(("flags", "expected"), [
    ("flags : fpu avx2\nflags : fpu avx2", "fp32"),
    ("flags : fpu avx512_bf16\nflags : fpu avx2", "fp32"),
    ("flags : fpu avx512_bf16\nflags : fpu amx_bf16", "bf16"),
    ("Features : fp asimd bf16", "bf16"),
    ("", "fp32"),
])  # fmt: skip
def test_what_processors_do_not_multiply_is_trained_in_full_precision(place, monkeypatch, flags, expected):
    (place / "cpuinfo").write_text(flags)
    made = make_plan("tiny", {}, None, None)
    assert {made.recipe.model.precision, *(stage.precision for stage in made.recipe.stages)} == {expected}
    assert bool(made.note) == (expected == "fp32")
    for chosen in ("bf16", "fp32"):
        given = make_plan("tiny", {"instruct.precision": chosen}, None, None).recipe
        assert (given.align.precision, given.instruct.precision) == (expected, chosen)


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


def test_a_part_that_only_the_recipes_own_pages_have_is_told(place):
    (place / "file").touch()
    given = {"web2code": str(place)}
    with pytest.raises(ValueError, match=r"'pages' needs captions, .*: only the recipe's own pages have it"):
        make_plan("tiny", {}, None, None, given)


def test_a_recipe_of_scienceqa_is_trained_on_captions_and_scienceqa(place):
    given = {"llava-pretrain": str(place / "captions")}
    write_llava_pretrain(place / "captions")
    write_scienceqa(place / "questions")
    with pytest.raises(ValueError, match=r"'scienceqa' needs ScienceQA, .*: add --source scienceqa=FOLDER$"):
        make_plan("llava_scienceqa", {}, None, None, given)
    made = make_plan("llava_scienceqa", {}, None, None, given | {"scienceqa": str(place / "questions")}, gpus=8)
    assert {source.name: source.parts for source in made.sources[:-1]} == {
        "llava-pretrain": ("LCS-558K",), "scienceqa": ("ScienceQA",)
    }  # fmt: skip


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


def judging(made, champion=""):
    """The job that judges a stage called `one`, where the champion's checkpoint is still there."""
    candidate = StageRecord(
        fingerprint="one", name="instruct", zero_stage=2, steps=1, first_loss=1, last_loss=1, seconds_to_first_step=1,
        seconds=1,
    )  # fmt: skip
    if champion:
        (made.home / "artifacts" / "stage" / champion / "model").mkdir(parents=True, exist_ok=True)
    return made.evaluate_job("v", PREPARED, candidate, champion)


def test_a_benchmark_that_cannot_be_asked_is_told_before_anything_starts(place):
    for name in ("empty", "wcgb"):
        (place / name).mkdir()
    for given, message in (
        ({"popee": ""}, "no benchmark is called 'popee': there are ai2d, "),
        ({"pope": ""}, r"pope: benchmark_files/pope is not there: make it, and fetch the Parquet files"),
        ({"pope": str(place / "empty")}, "fetch the Parquet files of the dataset lmms-lab/POPE"),
        ({"wcgb_judge": str(place / "wcgb")}, "wcgb_judge is judged by a model, and a run has none: leave it out"),
    ):
        with pytest.raises(ValueError, match=message):
            make_plan("tiny", {}, None, None, benchmarks=given)
    assert not (place / "home").exists()


def test_benchmarks_are_asked_of_both_models_alike_and_change_nothing_else(place):
    for name, write in (("mme", mme), ("wub", wub)):
        (place / "benchmark_files" / name).mkdir(parents=True)
        write(place / "benchmark_files" / name)
    plain, made = (make_plan("tiny", {}, None, None, benchmarks=given) for given in (None, {"mme": "", "wub": ""}))
    assert plain.benchmark_jobs(judging(plain, "other")) == []
    assert made.candidate(PREPARED) == plain.candidate(PREPARED)
    assert judging(made).fingerprint() == judging(plain).fingerprint()
    candidate, champion = made.benchmark_jobs(judging(made, "other"))
    assert (candidate.checkpoint, champion.checkpoint) == ("one", "other")
    assert candidate.where.folders == {name: str(place / "benchmark_files" / name) for name in ("mme", "wub")}
    assert made.benchmark_jobs(judging(made)) == [candidate]
    assert [job.checkpoint for job in made.benchmark_jobs(judging(made, "one"))] == ["one"]


def test_a_model_that_was_asked_is_known_again_wherever_it_lies_and_other_files_are_another_question(
    place, monkeypatch
):
    folder = place / "files"
    folder.mkdir()
    wub(folder)

    def asked():
        made = make_plan("tiny", {}, None, None, benchmarks={"wub": str(folder)})
        return made.benchmark_jobs(judging(made))[0].fingerprint()

    first = asked()
    monkeypatch.setenv("WEB2CODE_HOME", str(place / "elsewhere"))
    assert asked() == first
    (folder / "Web2Code_eval.jsonl").write_text((folder / "Web2Code_eval.jsonl").read_text() + "\n")
    assert asked() != first


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
    num_built = []
    for gpu in ("B200", "unchecked"):
        assert make_plan("llava15_13b", pages, None, None, gpus=4, where={"gpu": gpu}).where.gpus_per_worker == 1
        num_built.append(estimate._built.cache_info().misses)
    assert num_built[0] == num_built[1], "what the disk holds is not counted on the models that memory was"


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


def test_a_language_model_that_is_not_trained_rightly_is_told_before_anything_starts(place):
    for name, values, sentence in (
        ("granite", {"logits_scaling": 8.0}, r"\(granite\) scales or caps its logits"),
        ("lfm2", {"num_hidden_layers": 2, "layer_types": ["conv", "conv"]}, r"add --set instruct\.pack_tokens=0$"),
    ):
        CONFIG_MAPPING[name](**values).save_pretrained(place / name)
        with pytest.raises(ValueError, match=sentence):
            make_plan("llava15_7b", {"mixture": "pages", "model.language_model": str(place / name)}, None, None)
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

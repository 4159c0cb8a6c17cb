"""A published recipe through the whole lifecycle: data in the public layouts, checkpoints on disk, both small."""

import json
import zipfile

import pytest
import torch
from prefect.testing.utilities import prefect_test_harness

from flows.train_web2code import train_web2code
from tests.web2code.data.layouts import picture, record, write_json
from tests.web2code.modelling.checkpoints import small_parts
from web2code.modelling.generation import Generator
from web2code.modelling.llava import load_model
from web2code.training.arrays import load_arrays

SMALL = {
    "pages.num_eval": 6,
    "pages.viewport.width": 256,
    "pages.viewport.height": 256,
    "align.global_batch": 8,
    "instruct.global_batch": 8,
    "instruct.template": "user_assistant",
    "instruct.learning_rate": 1e-2,
    "instruct.epochs": 3,
    "evaluation.max_new_tokens": 16,
    "evaluation.bootstrap_samples": 100,
    "evaluation.constant_candidates": 4,
}
WORDS = [
    "tea", "cup", "shop", "door", "roof", "lamp", "tree", "bird", "road", "hill", "boat",
    "lake", "ring", "coat", "book", "desk",
]  # fmt: skip


def colour(number):
    return f"#{number * 37 % 256:02x}{number * 91 % 256:02x}{number * 151 % 256:02x}"


def write_sources(folder):
    """Sixteen captions in a zip; sixteen conversations, each fourth without a picture."""
    captions, talk = folder / "captions", folder / "talk"
    write_json(captions / "blip_laion_cc_sbu_558k.json", [
        record(word, f"00453/{word}.jpg", "Describe it.\n<image>", f"a {word} beside a {WORDS[-i]}")
        for i, word in enumerate(WORDS)
    ])  # fmt: skip
    with zipfile.ZipFile(captions / "images.zip", "w") as archive:
        for i, word in enumerate(WORDS):
            archive.writestr(f"00453/{word}.jpg", picture(colour(i), (40 + i, 30), "JPEG"))
    write_json(talk / "llava_v1_5_mix665k.json", [
        record(word, None if i % 4 == 0 else f"coco/train2017/{word}.jpg",
               ("" if i % 4 == 0 else "<image>\n") + f"Where is the {word}?", f"By the {WORDS[i - 1]}.",
               "Is it new?", "No, it is old.")
        for i, word in enumerate(WORDS)
    ])  # fmt: skip
    for i, word in enumerate(WORDS):
        path = talk / "coco" / "train2017" / f"{word}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(colour(i + 40), (30, 30 + i), "JPEG"))
    return {"llava-pretrain": str(captions), "llava-mix665k": str(talk)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    overrides = small_parts(folder) | SMALL
    with pytest.MonkeyPatch.context() as patch, prefect_test_harness(server_startup_timeout=90):
        patch.chdir(folder)
        patch.setenv("WEB2CODE_HOME", str(folder / "home"))
        train_web2code("llava15_7b", overrides, sources=write_sources(folder))
    return folder, json.loads((folder / "home" / "runs" / "latest" / "summary.json").read_text())


def artifacts(folder, kind):
    """Committed folders of a kind, by what their record is called."""
    found = {}
    for path in (folder / "home" / "artifacts" / kind).iterdir():
        record_of_it = json.loads((path / "record.json").read_text())
        found[record_of_it.get("name", "")] = path
    return found


def test_it_is_trained_judged_and_registered(finished):
    _, summary = finished
    assert summary["status"] == "completed"
    assert summary["model"]["name"] == "llava-1.5-7b"
    assert summary["evaluation"]["wcgb_visual"]["num"] == 6
    assert set(summary["baselines"]) >= {"untrained", "constant_page"}
    align, instruct = summary["stages"]
    assert (align["steps"], instruct["steps"]) == (2, 6)
    assert instruct["last_loss"] < instruct["first_loss"]


def test_each_stage_learns_from_its_part_and_pictures_are_small_jpegs(finished):
    prepared = artifacts(finished[0], "prepared")[""]
    arrays = load_arrays(prepared)
    assert [(part.stage, part.part, len(indices)) for stage in ("align", "instruct")
            for part, indices in arrays.of_stage(stage)] == [
        ("align", "LCS-558K", 16), ("instruct", "mix665k", 16),
    ]  # fmt: skip
    assert arrays.shown(arrays.of_stage("align")[0][1]).shape == (16, 28, 28, 3)
    assert (arrays.pages < 0).sum() == 4
    assert len(list(prepared.rglob("picture_offsets.npy"))) == 2


def test_the_alignment_trains_the_projector_alone_and_the_result_answers(finished):
    stages = artifacts(finished[0], "stage")
    assert json.loads((stages["instruct"] / "record.json").read_text())["previous"] == stages["align"].name
    prepared = artifacts(finished[0], "prepared")[""]
    base, aligned = (load_model(path).state_dict() for path in (prepared / "base", stages["align"] / "model"))
    changed = {name for name, tensor in aligned.items() if not torch.equal(tensor, base[name])}
    assert changed
    assert all("multi_modal_projector" in name for name in changed)
    answers = Generator(stages["instruct"] / "model").generate([picture("red", (60, 40))] * 2, ["What is it?"] * 2, 8)
    assert answers[0] == answers[1]

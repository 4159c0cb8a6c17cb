import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from ray_jobs.train import checkpoint_folder, main
from tests.web2code.training.conftest import make_prepared, without_pictures
from web2code.artifacts import read_record, verify
from web2code.config import StageConfig, StageRecord, TrainJob, Where
from web2code.training.arrays import Arrays, load_arrays
from web2code.training.loader import shares
from web2code.training.order import Order

ALIGN = StageConfig(
    name="align", trainable=("projector",), zero_stage=2, template="plain", steps=6, global_batch=8,
    learning_rate=1e-2, beta2=0.95, checkpoint_every=100,
)  # fmt: skip
INSTRUCT = StageConfig(
    name="instruct", trainable=("projector", "language_model", "vision_tower"), zero_stage=3,
    template="user_assistant", steps=40, global_batch=16, micro_batch=4, learning_rate=5e-3, beta2=0.95,
    checkpoint_every=5,
)  # fmt: skip


def home_with_prepared(folder: Path) -> Path:
    make_prepared(folder / "artifacts" / "prepared" / "pages")
    return folder


def job(home: Path, stage: StageConfig, previous: str = "", num_workers: int = 2) -> TrainJob:
    where = Where(home=str(home), data_dir=str(home / "data"), num_workers=num_workers)
    return TrainJob(where=where, stage=stage, prepared="pages", previous=previous, seed=0)


def weights(record: StageRecord, home: Path):
    return load_file(home / "artifacts" / "stage" / record.fingerprint / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def undisturbed(local_ray, tmp_path_factory):
    home = home_with_prepared(tmp_path_factory.mktemp("undisturbed"))
    align = main(job(home, ALIGN))
    return home, align, main(job(home, INSTRUCT, previous=align.fingerprint))


def test_both_stages_learn_and_the_first_changes_the_projector_alone(undisturbed):
    home, align, instruct = undisturbed
    assert align.losses[-1] < align.losses[0]
    assert instruct.last_loss < 0.5 * instruct.first_loss
    base = load_file(home / "artifacts" / "prepared" / "pages" / "base" / "model.safetensors")
    changed = {name for name, tensor in weights(align, home).items() if not tensor.equal(base[name])}
    assert changed
    assert all("multi_modal_projector" in name for name in changed)


def test_the_record_tells_what_the_steps_measured(undisturbed):
    _, align, instruct = undisturbed
    assert set(align.measurements.source_losses) == {"captions"}
    first, last = align.measurements.source_losses["captions"]
    assert first == pytest.approx(align.first_loss, rel=1e-5)
    assert last == pytest.approx(align.last_loss, rel=1e-4)
    assert set(instruct.measurements.source_losses) == {"code", "questions"}
    assert 0 < instruct.measurements.padding_share < 0.5
    assert 0 < instruct.measurements.data_wait_share < 1
    assert instruct.measurements.gradient_norm > 0
    assert instruct.measurements.mfu is None  # of a CPU
    per_sample = instruct.measurements.tokens_per_second / instruct.measurements.samples_per_second
    assert 5 < per_sample < 96


def test_the_same_job_again_does_no_work(undisturbed):
    home, align, _ = undisturbed
    before = (home / "artifacts" / "stage" / align.fingerprint / "COMMITTED").stat().st_mtime_ns
    assert main(job(home, ALIGN)) == align
    assert (home / "artifacts" / "stage" / align.fingerprint / "COMMITTED").stat().st_mtime_ns == before


def test_killed_it_goes_on_from_the_newest_whole_checkpoint_and_ends_with_the_same_weights(
    undisturbed, local_ray, tmp_path
):
    _, align, expected = undisturbed
    home = home_with_prepared(tmp_path / "two")
    main(job(home, ALIGN))
    again = job(home, INSTRUCT, previous=align.fingerprint)
    environment = {**os.environ, "RAY_ADDRESS": local_ray}
    (home / "job.json").write_text(again.model_dump_json())
    command = [sys.executable, "-m", "ray_jobs.train", str(home / "job.json")]
    driver = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    snapshots = checkpoint_folder(again)
    deadline = time.monotonic() + 120
    while len(list(snapshots.glob("*/manifest-*.json"))) < 4 and time.monotonic() < deadline:
        assert driver.poll() is None, driver.stdout.read().decode()
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert read_record(again.output(), StageRecord) is None, "it finished before it was killed: nothing is shown"
    newest = [whole for whole in sorted(snapshots.iterdir()) if len(list(whole.glob("manifest-*"))) == 2][-1]
    step = json.loads((newest / "manifest-1.json").read_text())["step"]
    state = next(newest.rglob("*rank_1*optim_states.pt"))
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
    shutil.copytree(home, tmp_path / "alone")
    record = main(again)
    assert record.resumed_from_step == step - INSTRUCT.checkpoint_every
    assert record.num_workers == (2,)
    assert record.losses == expected.losses
    verify(again.output())
    for name, tensor in weights(record, home).items():
        assert tensor.equal(weights(expected, undisturbed[0])[name]), name
    assert json.loads((Path(again.output()) / "manifest.json").read_text())["files"]
    foreign = checkpoint_folder(job(tmp_path / "alone", INSTRUCT)) / "step-00000001-by-1"
    foreign.mkdir(parents=True)
    alone = main(job(tmp_path / "alone", INSTRUCT, align.fingerprint, num_workers=1))
    assert alone.fingerprint == record.fingerprint
    assert alone.resumed_from_step == record.resumed_from_step
    assert alone.num_workers == (2, 1)
    assert alone.losses == pytest.approx(expected.losses, rel=0.2)
    assert foreign.exists(), "a checkpoint of another stage was touched"


@pytest.mark.parametrize("zero_stage", [2, 3])
def test_packed_training_takes_the_steps_of_padded_training(local_ray, tmp_path, zero_stage):
    """On two workers, of which both, one or neither sees a picture in a micro step."""
    home = home_with_prepared(tmp_path)
    prepared = home / "artifacts" / "prepared" / "pages"
    arrays = load_arrays(prepared)
    mixed = without_pictures(arrays, [i for i in range(len(arrays.lengths)) if arrays.pages[i] % 8])
    for name in ("pages", "tokens"):
        np.save(prepared / f"{name}.npy", getattr(mixed, name))
    changes = {"steps": 6, "precision": "fp32", "zero_stage": zero_stage, "learning_rate": 1e-2}
    stages = [INSTRUCT.model_copy(update=changes | more) for more in ({}, {"pack_tokens": 160, "attention": "varlen"})]
    assert [seeing(stage, load_arrays(prepared)) for stage in stages] == [{0, 1, 2}, {0, 1, 2}]
    padded, packed = (main(job(home, stage)) for stage in stages)
    assert packed.losses == pytest.approx(padded.losses, rel=1e-4)
    assert packed.losses[-1] < packed.losses[0]


def seeing(stage: StageConfig, arrays: Arrays) -> set[int]:
    """How many of two workers see a picture in a micro step."""
    order = Order(arrays, stage, seed=0)
    return {
        sum((arrays.pages[held] >= 0).any() for held in of_workers)
        for step in range(stage.steps)
        for of_workers in zip(*shares(stage, arrays, order.batch(step), 2), strict=True)
    }

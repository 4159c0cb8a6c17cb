import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray
import torch
from safetensors.torch import load_file

from ray_jobs.train import checkpoint_folder, main
from tests.web2code.training.conftest import make_prepared
from web2code.artifacts import read_record, verify
from web2code.config import StageConfig, StageRecord, TrainJob, Where
from web2code.modelling.llava import load_model
from web2code.training.arrays import load_arrays
from web2code.training.batches import collate
from web2code.training.loop import padding_of
from web2code.training.loss import AnswerLoss
from web2code.training.manifests import write_manifest
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


def job(home: Path, stage: StageConfig, previous: str = "", num_workers: int = 2, **where: float) -> TrainJob:
    where = Where(home=str(home), data_dir=str(home / "data"), num_workers=num_workers, **where)
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


def test_the_second_stage_starts_from_the_projector_of_the_first(undisturbed):
    home, align, instruct = undisturbed
    prepared = home / "artifacts" / "prepared" / "pages"
    aligned = home / "artifacts" / "stage" / align.fingerprint / "model"
    before, after = (loss_of_the_first_step(INSTRUCT, prepared, model) for model in (prepared / "base", aligned))
    assert after == pytest.approx(instruct.first_loss, abs=0.1 * abs(before - after))


def loss_of_the_first_step(stage: StageConfig, prepared: Path, model: Path) -> float:
    """What a model as it is says of the samples that a stage begins with."""
    arrays = load_arrays(prepared)
    batch = Order(arrays, stage, seed=0).batch(0)
    loss = AnswerLoss(load_model(model, torch.bfloat16))
    tensors = collate(arrays, batch, padding_of(loss.llava), torch.bfloat16)
    with torch.no_grad():
        return float(loss(**tensors, num_tokens=float(arrays.label_counts[batch].sum())))


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


def test_a_checkpoint_of_another_training_is_told_before_anything_is_started(tmp_path):
    asked = job(tmp_path, ALIGN)
    foreign = checkpoint_folder(asked) / "step-00000003-by-2"
    foreign.mkdir(parents=True)
    (foreign / "manifest-0.json").write_text("{")  # damaged: the other worker's tells
    write_manifest(foreign, 1, {"identity": "another", "step": 3})
    with pytest.raises(ValueError, match=rf"^{foreign} is a checkpoint of another, not of {asked.fingerprint()}, "):
        main(asked)
    assert [path.name for path in checkpoint_folder(asked).iterdir()] == [foreign.name]


def test_more_than_the_cluster_has_is_told_before_anything_is_started(local_ray, tmp_path):
    asked = job(home_with_prepared(tmp_path), ALIGN, num_workers=3, start_seconds=1)
    began = time.monotonic()
    told = r"^3 workers with 1 CPU each do not fit on the cluster: it holds 2, for it has 2 CPUs .* after 1 s: ask"
    with pytest.raises(ValueError, match=told):
        main(asked)
    assert time.monotonic() - began < 20
    with pytest.raises(ValueError, match=r"^1 workers with 1 CPU and 1 GPU each .* holds 0, .* 2 CPUs and 0 GPUs on"):
        main(job(tmp_path, ALIGN, num_workers=1, gpus_per_worker=1, start_seconds=0))
    assert not checkpoint_folder(asked).exists()


def test_a_place_that_another_job_holds_is_not_waited_for_without_end(local_ray, tmp_path):
    @ray.remote(num_cpus=1)
    class Other:
        def is_there(self):
            return True

    other = Other.remote()
    assert ray.get(other.is_there.remote())
    try:
        with pytest.raises(RuntimeError, match=r"align: 2 workers .* no place within 2 s: .* of which 1 CPU is free"):
            main(job(home_with_prepared(tmp_path), ALIGN, start_seconds=2))
    finally:
        ray.kill(other)

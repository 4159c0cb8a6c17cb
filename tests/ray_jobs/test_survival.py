"""A stage that is killed, in many ways and at random moments, ends as the one that nobody disturbed."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from ray._raylet import GcsClient
from ray.core.generated import autoscaler_pb2
from safetensors.torch import load_file

from ray_jobs.attempts import WORKERS, endings
from ray_jobs.train import checkpoint_folder, main
from tests.ray_jobs.conftest import MACHINE
from tests.ray_jobs.test_train import home_with_prepared
from web2code.artifacts import read_record, verify
from web2code.config import StageConfig, StageRecord, TrainJob, Where
from web2code.modelling.base import PROMPTING

STAGE = StageConfig(
    name="instruct", trainable=("projector", "language_model", "vision_tower"), zero_stage=2,
    template="user_assistant", steps=60, global_batch=16, micro_batch=4, learning_rate=5e-3, beta2=0.95,
    checkpoint_every=5,
)  # fmt: skip
PATIENCE = 300.0


def job(home, stage=STAGE) -> TrainJob:
    where = Where(home=str(home), data_dir=str(home / "data"), stall_seconds=10, start_seconds=120)
    return TrainJob(where=where, stage=stage, prepared="pages", seed=0)


@pytest.fixture(scope="module")
def undisturbed(local_ray, tmp_path_factory):
    home = home_with_prepared(tmp_path_factory.mktemp("undisturbed"))
    return home, main(job(home))


def assert_same(home, undisturbed):
    """Every loss and every number of the weights; returns the record."""
    expected_home, expected = undisturbed
    record = read_record(job(home).output(), StageRecord)
    assert record.losses == expected.losses
    assert record.learning_rates == expected.learning_rates
    verify(job(home).output())
    ours, theirs = (
        load_file(folder / "artifacts" / "stage" / record.fingerprint / "model" / "model.safetensors")
        for folder in (home, expected_home)
    )
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(theirs[name]) for name in ours)
    return record


class Training:
    """The stage under a driver of its own, watched through the files that its workers leave."""

    def __init__(self, home, ray_address, stage=STAGE):
        self.job = job(home, stage)
        self.folder = checkpoint_folder(self.job)
        self.log = home / "driver.log"
        (home / "job.json").write_text(self.job.model_dump_json())
        environment = {**os.environ, "RAY_ADDRESS": ray_address, "RAY_gcs_rpc_server_reconnect_timeout_s": "5"}
        environment["RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S"] = "0.2"
        with self.log.open("ab") as log:
            self.driver = subprocess.Popen(
                [sys.executable, "-m", "ray_jobs.train", str(home / "job.json")], env=environment, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        self.dead = {pid for pid, _ in self.workers()}

    def workers(self):
        """(process id, step) of each worker, as far as they have got to a step."""
        found = []
        for rank in range(2):
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):  # it is being replaced
                text = (self.folder / WORKERS / f"rank-{rank}.txt").read_text()
                found.append(json.loads(text.partition("\n")[0]))
        return [(who["pid"], who["step"] or 0) for who in found]

    def wait_until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert self.driver.poll() is None, self.log.read_text()[-5000:]
            assert time.monotonic() < deadline, self.log.read_text()[-5000:]
            time.sleep(0.002)
        return found

    def reach(self, step):
        """Wait until new workers are at a step; returns their process ids."""

        def new_workers():
            workers = self.workers()
            ready = len(workers) == 2 and all(at >= step and pid not in self.dead for pid, at in workers)
            return ready and [pid for pid, _ in workers]

        pids = self.wait_until(new_workers)
        self.dead.update(pids)
        return pids

    def is_writing(self):
        """Whether the newest checkpoint has some of its files and not all of its manifests."""
        newest = max(self.folder.glob("step-*"), default=None)
        return newest and any(newest.rglob("*.pt")) and len(list(newest.glob("manifest-*.json"))) < 2

    def has_saved(self):
        """Whether there is a whole checkpoint."""
        return any(len(list(each.glob("manifest-*.json"))) == 2 for each in self.folder.glob("step-*"))

    def finish(self):
        assert self.driver.wait(PATIENCE) == 0, self.log.read_text()[-5000:]


def kill(pids, how=signal.SIGKILL):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)


def stopped_at(pids, condition):
    """Stop processes; they go on where what is to be seen is over by then."""
    kill(pids, signal.SIGSTOP)
    if condition():
        return True
    kill(pids, signal.SIGCONT)
    return False


def endings_told(training):
    """What the job's log says of how its attempts ended."""
    return [line for line in training.log.read_text().splitlines() if "warning: " in line]


def test_workers_that_die_are_told_to_go_or_hang_are_replaced(undisturbed, local_ray, tmp_path):
    rng = random.Random(0)
    training = Training(home_with_prepared(tmp_path), local_ray)
    for step, how, num_workers in (
        (7, signal.SIGKILL, 1), (15, signal.SIGKILL, 2), (28, signal.SIGTERM, 1), (41, signal.SIGSTOP, 1),
    ):  # fmt: skip
        workers = training.reach(step + rng.randrange(8))
        time.sleep(rng.uniform(0, 0.3))
        kill(rng.sample(workers, num_workers), how)
    training.finish()
    record = assert_same(tmp_path, undisturbed)
    assert (record.failures, record.preemptions) == (3, 1)
    log = training.log.read_text()
    assert re.search(r"made no progress for \d+ s in step .* nothing was heard of rank", log), log[-5000:]


def test_a_killed_driver_a_killed_ray_and_half_a_checkpoint_are_gone_on_from(undisturbed, local_ray, tmp_path):
    rng = random.Random(1)
    home = home_with_prepared(tmp_path)

    training = Training(home, local_ray)
    workers = training.reach(1)
    training.wait_until(lambda: training.is_writing() and stopped_at(workers, training.is_writing))
    kill([*workers, training.driver.pid])
    training.driver.wait()

    training = Training(home, local_ray)
    training.reach(12 + rng.randrange(8))
    time.sleep(rng.uniform(0, 0.3))
    kill([training.driver.pid])
    training.driver.wait()

    training = Training(home, "local")
    training.reach(27 + rng.randrange(8))
    kill([process.pid for process in psutil.Process(training.driver.pid).children(recursive=True)])
    training.driver.wait(PATIENCE)
    assert read_record(training.job.output(), StageRecord) is None, "it finished before the kill: nothing is shown"

    record = main(training.job)
    assert record.resumed_from_step > 0
    assert_same(tmp_path, undisturbed)


def test_a_worker_that_hangs_while_it_saves_the_model_is_replaced_by_one_that_makes_no_step_again(
    undisturbed, local_ray, tmp_path
):
    home = home_with_prepared(tmp_path)
    pipe = Path(job(home).output()) / "model" / PROMPTING
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)  # which nobody reads: who writes to it waits
    training = Training(home, local_ray)
    training.wait_until(lambda: endings(training.folder))
    pipe.unlink()
    training.finish()
    record = assert_same(tmp_path, undisturbed)
    assert (record.failures, record.preemptions) == (1, 0)
    assert record.resumed_from_step == STAGE.steps
    told = endings_told(training)
    assert any(f"made no progress for 60 s while it saved the model after step {STAGE.steps}; " in one for one in told)


def test_a_machine_that_is_missing_at_the_start_is_waited_for(one_machine, tmp_path):
    stage = STAGE.model_copy(update={"steps": 2})
    training = Training(home_with_prepared(tmp_path), one_machine.address, stage=stage)
    training.wait_until(lambda: "more machines" in training.log.read_text())
    assert not training.folder.exists()
    one_machine.add_node(**MACHINE)
    training.finish()
    record = read_record(training.job.output(), StageRecord)
    assert (record.num_workers, record.failures) == ((2,), 0), endings_told(training)


def test_a_machine_that_is_to_be_taken_away_leaves_a_checkpoint_and_is_no_failure(cluster, tmp_path):
    stage = STAGE.model_copy(update={"steps": 300, "checkpoint_every": 1000})
    training = Training(home_with_prepared(tmp_path), cluster.address, stage=stage)
    training.reach(3)
    (leaving,) = cluster.worker_nodes
    deadline = 1000 * int(time.time() + 60)
    reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    assert GcsClient(address=cluster.address).drain_node(leaving.node_id, reason, "", deadline) == (True, "")
    training.wait_until(training.has_saved)
    cluster.add_node(**MACHINE)
    cluster.remove_node(leaving, allow_graceful=False)
    training.finish()
    record = read_record(training.job.output(), StageRecord)
    assert (record.failures, record.preemptions) == (0, 1), endings_told(training)
    assert 0 < record.resumed_from_step < stage.steps
    assert len(record.losses) == stage.steps

import numpy as np
import pytest
import torch
from ray.exceptions import OutOfMemoryError
from ray.train import PreemptionError, PreemptionInfo, WorkerGroupError

from ray_jobs.attempts import NOTICE, WORKERS, endings, fence, out_of_memory, train_until_done
from web2code.config import StageConfig, TrainJob, Where

STAGE = StageConfig(
    name="instruct", trainable=("projector",), zero_stage=2, template="plain", steps=6, global_batch=8,
    learning_rate=1e-2, micro_batch=4,
)  # fmt: skip


def job(**where) -> TrainJob:
    return TrainJob(where=Where(home="home", data_dir="data", **where), stage=STAGE, prepared="pages", seed=0)


def worker_error(*errors: Exception) -> WorkerGroupError:
    return WorkerGroupError("the text of all", dict(enumerate(errors)))


def preempted() -> PreemptionError:
    return PreemptionError(PreemptionInfo(deadline_ms=None, preempted_node_to_ranks={"node": [1]}))


class Attempts:
    """What Ray Train's `fit` does in turn: an error is raised, a number is the step of a checkpoint that it writes."""

    def __init__(self, folder, *course):
        self.folder, self.course, self.number = folder, list(course), 0

    def __call__(self):
        self.number += 1
        while self.course:
            event = self.course.pop(0)
            if isinstance(event, Exception):
                raise event
            whole = self.folder / f"step-{event:08}" / "manifest-0.json"
            whole.parent.mkdir(parents=True)
            whole.write_text("{}")


def test_failures_and_preemptions_are_counted_apart(tmp_path):
    died = worker_error(RuntimeError("connection closed by peer"))
    fit = Attempts(tmp_path, died, preempted(), preempted(), died, preempted())
    train_until_done(fit, job(max_failures=2, max_preemptions=3), tmp_path)
    assert fit.number == 6
    kinds = [ending.kind for ending in endings(tmp_path)]
    assert kinds == ["failure", "preemption", "preemption", "failure", "preemption"]


@pytest.mark.parametrize(
    "error", [worker_error(RuntimeError("no route to host")), preempted()], ids=["failure", "preemption"]
)
def test_too_many_in_a_row_end_the_stage_unless_there_is_a_new_checkpoint_between(tmp_path, error):
    limits = job(max_failures=2, max_preemptions=2)
    train_until_done(Attempts(tmp_path, error, error, 5, error, error, 10, error), limits, tmp_path)
    fit = Attempts(tmp_path, error, error, error, 15)
    with pytest.raises(RuntimeError, match="instruct: "):
        train_until_done(fit, limits, tmp_path)
    assert fit.number == 3
    assert len(endings(tmp_path)) == 8


def test_what_ends_an_attempt_after_notice_is_a_preemption_and_what_ends_the_next_is_not(tmp_path):
    notice = tmp_path / WORKERS / NOTICE
    attempts = []

    def fit():
        attempts.append(len(attempts) + 1)
        if attempts[-1] == 1:
            notice.parent.mkdir()
            notice.touch()
        if attempts[-1] < 3:
            raise worker_error(RuntimeError("connection closed by peer"))

    train_until_done(fit, job(), tmp_path)
    assert [ending.kind for ending in endings(tmp_path)] == ["preemption", "failure"]


def error_of(call) -> Exception:
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        call()
    return caught.value


LASTING = {
    "torch": error_of(lambda: torch.empty(1 << 60, dtype=torch.uint8)),
    "Ray's memory monitor": OutOfMemoryError("Task was killed due to the node running low on memory.\nMore about it."),
    "numpy": error_of(lambda: np.empty(1 << 60, dtype=np.uint8)),
    "not finite": FloatingPointError("instruct: the loss of step 3 is nan"),
}


@pytest.mark.parametrize("cause", LASTING.values(), ids=LASTING)
def test_what_would_end_the_same_way_again_is_not_tried_again(tmp_path, cause):
    fit = Attempts(tmp_path, worker_error(RuntimeError("connection closed by peer"), cause))
    with pytest.raises(RuntimeError) as told:
        train_until_done(fit, job(), tmp_path)
    assert fit.number == 1
    if isinstance(cause, FloatingPointError):
        assert str(told.value) == "instruct: the loss of step 3 is nan"
    else:
        assert "out of memory (" in str(told.value)
        assert "lower instruct.micro_batch (now 4), set instruct.gradient_checkpointing=true" in str(told.value)


def test_what_helps_against_too_little_memory_depends_on_what_is_done_already():
    saving = STAGE.model_copy(update={"pack_tokens": 4096, "zero_stage": 3, "gradient_checkpointing": True})
    told = out_of_memory(saving, "CUDA out of memory")
    assert (
        told
        == "out of memory (CUDA out of memory): lower instruct.pack_tokens (now 4096); `web2code plan` tells what fits"
    )


def test_a_worker_that_outlived_its_attempt_writes_nothing(tmp_path):
    checks = []

    def fit():
        checks.append(fence(tmp_path))
        checks[-1]()
        if len(checks) == 1:
            raise worker_error(RuntimeError("connection closed by peer"))

    train_until_done(fit, job(), tmp_path)
    checks[1]()
    with pytest.raises(RuntimeError, match="another attempt at this stage has begun"):
        checks[0]()

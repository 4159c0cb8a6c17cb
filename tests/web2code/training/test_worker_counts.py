import pytest
import torch

from tests.web2code.training.workers import (
    MIXED,
    PARTITIONED,
    SMALL,
    SMALL_BEST,
    SMALL_STEPS,
    STAGE,
    STAGES,
    WILD,
    read,
    run_all,
)
from web2code.training.reshard import cut

# Sums in another order: what two numbers of workers differ by even where neither is interrupted. Of the losses, and of
# weights and moments; of a tower that sees pages of one colour gradients are small beside what they are the sum of.
TOLERANCES = {"fp32": (1e-6, 1e-5), "bf16": (1e-3, 5e-2), "mixed": (1e-5, 1e-2)}
# Softmax does not see it: its gradient is nothing but rounding.
UNSEEN = "k_proj.bias"
DIRECTIONS = [pytest.param(1, 2, id="1-to-2"), pytest.param(2, 1, id="2-to-1")]


@pytest.fixture(scope="module")
def runs(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    run_all(prepared, folder)
    return folder


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize(("first", "then"), DIRECTIONS)
def test_another_number_of_workers_goes_on_where_the_first_was_interrupted(runs, name, first, then):
    whole, resumed = (read(runs / f"by-{first}" / kind / name / "run.pt") for kind in ("whole", "resumed"))
    history = resumed["history"]
    done = history["resumed_from_step"]
    assert done == STAGE.checkpoint_every
    assert history["num_workers"] == [first, then]
    assert history["learning_rates"] == whole["history"]["learning_rates"]
    assert history["losses"][:done] == whole["history"]["losses"][:done]
    of_losses, of_states = TOLERANCES["mixed" if name in MIXED else name.rpartition("-")[2]]
    assert history["losses"] == pytest.approx(whole["history"]["losses"], rel=of_losses)
    assert resumed["steps"] == [STAGE.steps] * len(resumed["steps"])
    assert_alike(resumed, whole, of_states)


def assert_alike(found, expected, tolerance):
    """Weights and moments."""
    for kind in ("weights", "exp_avg", "exp_avg_sq"):
        for parameter, tensor in expected[kind].items():
            if not parameter.endswith(UNSEEN):
                assert (found[kind][parameter] - tensor).norm() <= tolerance * tensor.norm(), (kind, parameter)


@pytest.mark.parametrize("name", MIXED)
def test_a_worker_without_pictures_trains_the_tower_beside_one_with(runs, name):
    """Losses, weights and moments are those of one worker, which sees all of them; losses, those under ZeRO-1 too."""
    alone, together = (read(runs / f"by-{num}" / "whole" / name / "run.pt") for num in (1, 2))
    of_losses, of_states = TOLERANCES["mixed"]
    assert together["history"]["losses"] == pytest.approx(alone["history"]["losses"], rel=of_losses)
    under_zero1 = read(runs / "by-1" / "whole" / "mixed-zero1-fp32" / "run.pt")
    assert alone["history"]["losses"] == pytest.approx(under_zero1["history"]["losses"], rel=of_losses)
    assert any(moments.any() for name, moments in alone["exp_avg"].items() if "vision_tower" in name)
    assert_alike(together, alone, of_states)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_an_offloaded_optimizer_takes_the_same_steps(runs, num_workers):
    found, expected = (
        read(runs / f"by-{num_workers}" / "whole" / name / "run.pt")
        for name in ("zero3-offloaded-fp32", "zero3-packed-fp32")
    )
    assert found["history"]["losses"] == pytest.approx(expected["history"]["losses"], rel=1e-6)
    for parameter, tensor in expected["weights"].items():
        assert (found["weights"][parameter] - tensor).norm() < 1e-5 * tensor.norm(), parameter


@pytest.mark.parametrize("name", PARTITIONED)
@pytest.mark.parametrize("num_workers", [1, 2])
def test_weights_brought_in_parts_train_as_those_that_deepspeed_partitions(runs, name, num_workers):
    """Bit for bit: losses, gradient norms, weights and moments."""
    found, expected = (read(runs / f"by-{num_workers}" / kind / name / "run.pt") for kind in ("whole", "left"))
    assert found["history"]["losses"] == expected["history"]["losses"]
    norms = [[step["gradient_norm"] for step in run["history"]["metrics"]] for run in (found, expected)]
    assert norms[0] == norms[1]
    for kind in ("weights", "exp_avg", "exp_avg_sq"):
        assert expected[kind]
        for parameter, tensor in expected[kind].items():
            assert torch.equal(found[kind][parameter], tensor), (kind, parameter)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_worker_holds_one_tensor_beside_its_share_while_weights_are_brought_to_it(runs, num_workers):
    for name, num_shares in (("zero2", 1), ("zero3", num_workers)):
        found = read(runs / f"by-{num_workers}" / "placed" / f"{name}.pt")
        share = sum(2 * -(-size // 2 // num_shares) for size in found["sizes"])
        assert len(found["held"]) == num_workers
        for peak, kept in found["held"]:
            assert share <= kept < 1.02 * share
            assert peak <= kept + max(found["sizes"])


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("first", [1, 2])
def test_what_another_number_of_workers_restores_is_bit_for_bit_what_was_saved(runs, name, first):
    """Master weights, moments, steps, settings of both groups, and the loss of the module's own weights."""
    folder = runs / f"by-{first}" / "small" / name
    assert read(folder / "restored_history.pt") == {"step": SMALL_STEPS, "losses": [1.0, 2.0, 3.0, 4.0, 5.0]}
    for restored, saved in (("restored", SMALL_STEPS), ("best", SMALL_BEST)):
        found, expected = read(folder / f"{restored}.pt"), read(folder / f"state-{saved}.pt")
        assert set(found["steps"]) == {saved}
        assert all(found[key] == expected[key] for key in ("loss", "groups", "global_steps"))
        for kind in ("weights", "exp_avg", "exp_avg_sq"):
            assert expected[kind]
            for parameter, tensor in expected[kind].items():
                assert torch.equal(found[kind][parameter], tensor), (restored, kind, parameter)


@pytest.mark.parametrize("name", ["damaged", "unfinished"])
@pytest.mark.parametrize("first", [1, 2])
def test_what_any_of_the_writers_left_damaged_or_unfinished_is_passed_over(runs, name, first):
    assert read(runs / f"by-{first}" / name / "restored_history.pt")["step"] == SMALL_STEPS - 1


@pytest.mark.parametrize("first", [1, 2])
def test_the_newest_checkpoints_and_the_best_are_kept(runs, first):
    """One more may be left where one worker was done sooner than the other."""
    kept = {int(path.name.split("-")[1]) for path in (runs / f"by-{first}" / "small" / SMALL[0]).glob("step-*")}
    assert kept >= {SMALL_BEST, SMALL_STEPS - 1, SMALL_STEPS}
    assert 1 not in kept


@pytest.mark.parametrize("zero_stage", [0, 2, 3])
@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_stage_that_keeps_the_best_step_ends_with_its_weights(runs, zero_stage, num_workers):
    found = read(runs / f"by-{3 - num_workers}" / f"best-zero{zero_stage}" / "best.pt")
    steps, losses = zip(*found["history"]["held_out"], strict=True)
    assert steps == tuple(range(1, WILD["steps"] + 1))
    assert min(losses) < losses[-1], "the last step is the best: nothing is shown"
    assert found["loss"] == pytest.approx(min(losses), rel=1e-6)
    assert found["training"], "dropout and gradient checkpointing are without effect after the loss was measured"


def test_a_cut_goes_over_the_bounds_of_pieces_and_beyond_the_last():
    pieces = [torch.tensor([1.0, 2.0]), torch.tensor([]), torch.tensor([3.0, 4.0, 5.0])]
    assert cut(pieces, 1, 3).tolist() == [2, 3, 4]
    assert cut(pieces, 4, 3).tolist() == [5, 0, 0]
    assert cut(pieces, 5, 2).tolist() == [0, 0]

import dataclasses

import numpy as np
import pytest

from tests.web2code.training.conftest import CAPTIONS, CODE, QUESTIONS, without_pictures
from web2code.config import StageConfig
from web2code.training.order import Order

STAGE = StageConfig(
    name="instruct", trainable=("projector",), zero_stage=2, template="vicuna_v1", steps=1, global_batch=8,
    learning_rate=1.0,
)  # fmt: skip


def order_of(arrays, seed=1, weight=0.25, **changes):
    parts = [part.model_copy(update={"weight": weight if part.part == "questions" else 1.0})
             for part in arrays.layout.parts]  # fmt: skip
    layout = arrays.layout.model_copy(update={"parts": tuple(parts)})
    return Order(type(arrays)(**{**vars(arrays), "layout": layout}), STAGE.model_copy(update=changes), seed)


def epoch_of(order, number=0):
    first = number * order.batches_per_epoch
    return np.concatenate([order.batch(step) for step in range(first, first + order.batches_per_epoch)])


@pytest.mark.parametrize("grouping", ["length", "modality_length", "none"])
def test_an_epoch_holds_every_sample_once(arrays, grouping):
    epoch = epoch_of(order_of(arrays, weight=0.0, grouping=grouping))
    assert sorted(epoch) == sorted(np.flatnonzero(arrays.parts == CODE))


def test_a_step_does_not_depend_on_the_steps_before_it(arrays):
    walked = order_of(arrays)
    all_steps = [walked.batch(step) for step in range(20)]
    for step in (19, 0, 13):
        assert np.array_equal(order_of(arrays).batch(step), all_steps[step])


def test_epochs_and_seeds_differ(arrays):
    order = order_of(arrays)
    assert not np.array_equal(order.batch(0), order.batch(order.batches_per_epoch))
    assert not np.array_equal(order.batch(0), order_of(arrays, seed=4).batch(0))


def test_a_part_is_seen_as_often_as_its_weight_says_and_other_samples_in_every_epoch(arrays):
    order = order_of(arrays, weight=1 / 3)
    seen = [set(epoch[arrays.parts[epoch] == QUESTIONS]) for epoch in (epoch_of(order), epoch_of(order, 1))]
    assert [len(of_epoch) for of_epoch in seen] == [16, 16]
    assert seen[0] != seen[1]


def test_a_weight_above_one_repeats_every_sample(arrays):
    epoch = epoch_of(order_of(arrays, weight=2.5))
    times = np.bincount(epoch, minlength=len(arrays.parts))[arrays.parts == QUESTIONS]
    assert sorted(set(times)) == [2, 3]
    assert times.sum() == 2.5 * len(times)


def test_captions_alone_in_the_alignment_stage(arrays):
    assert set(arrays.parts[order_of(arrays, name="align").batch(2)]) == {CAPTIONS}


@pytest.fixture(scope="module")
def mixed(arrays):
    """Of 48 samples 13 without a picture."""
    return without_pictures(arrays, np.flatnonzero(arrays.parts == CODE)[:13])


def batches_of(arrays, grouping):
    order = order_of(arrays, weight=0.0, grouping=grouping)
    return [order.batch(step) for step in range(order.batches_per_epoch)]


def test_batches_of_one_modality_and_last_one_of_what_is_left_of_both(mixed):
    shown = [set(mixed.pages[batch] >= 0) for batch in batches_of(mixed, "modality_length")]
    assert (len(shown), shown.count({True}), shown.count({False})) == (6, 4, 1)
    assert shown[-1] == {True, False}


def test_which_samples_of_a_modality_meet_is_drawn_whatever_their_lengths(mixed):
    other = dataclasses.replace(mixed, lengths=np.random.default_rng(0).permutation(len(mixed.lengths)) + 1)

    def meeting(grouping):
        return [[frozenset(batch) for batch in batches_of(arrays, grouping)] for arrays in (mixed, other)]

    drawn, again = meeting("modality_length")
    assert drawn == again
    alike, otherwise = meeting("length")
    assert alike != otherwise
    # Sorted, so that every second one, or every eighth, is as long as the others.
    assert all((np.diff(other.lengths[batch]) > 0).all() for batch in batches_of(other, "modality_length"))


def test_samples_of_similar_length_meet_by_length_alone(mixed):
    other = dataclasses.replace(mixed, lengths=np.random.default_rng(0).permutation(len(mixed.lengths)) + 1)
    spread = {
        grouping: np.mean([np.ptp(other.lengths[batch]) for batch in batches_of(other, grouping)])
        for grouping in ("length", "modality_length", "none")
    }
    assert spread["length"] < 0.3 * spread["none"]
    assert spread["modality_length"] > 0.8 * spread["none"]


def test_a_stage_without_a_sample_is_told(arrays):
    with pytest.raises(ValueError, match="no sample for stage 'third'"):
        order_of(arrays, name="third")


def held_out_of(arrays, **changes):
    order = order_of(arrays, seed=3, held_out=8, **changes)
    return order, np.concatenate([order.batch(step) for step in range(3 * order.batches_per_epoch)])


def test_what_is_held_out_is_never_trained_on_nor_is_another_sample_of_its_pictures(arrays):
    order, seen = held_out_of(arrays)
    assert len(set(order.held_out.tolist())) == 8
    assert np.array_equal(order.held_out, held_out_of(arrays)[0].held_out)
    assert not np.isin(arrays.pages[seen], arrays.pages[order.held_out]).any()


def test_text_without_a_picture_is_held_out_by_itself(arrays):
    texts = without_pictures(arrays, range(len(arrays.lengths)))
    order, seen = held_out_of(texts, weight=0.0)
    assert set(seen) == set(np.flatnonzero(arrays.parts == CODE)) - set(order.held_out)


def test_holding_everything_out_is_refused(arrays):
    with pytest.raises(ValueError, match="48 of 48 samples held out leave none"):
        order_of(arrays, weight=0.0, held_out=48)

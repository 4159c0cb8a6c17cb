import numpy as np
import pytest

from tests.web2code.training.conftest import without_pictures
from web2code.training.arrays import CAPTION, CODE, QUESTION
from web2code.training.order import Order


def test_an_epoch_holds_every_page_once(arrays):
    order = Order(arrays, captions=False, question_share=0.0, global_batch=8, seed=1)
    epoch = np.concatenate([order.batch(step) for step in range(order.batches_per_epoch)])
    assert sorted(epoch) == sorted(np.flatnonzero(arrays.kinds == CODE))


def test_a_step_does_not_depend_on_the_steps_before_it(arrays):
    walked = Order(arrays, False, 0.25, 8, seed=3)
    all_steps = [walked.batch(step) for step in range(20)]
    for step in (19, 0, 13):
        assert np.array_equal(Order(arrays, False, 0.25, 8, seed=3).batch(step), all_steps[step])


def test_epochs_and_seeds_differ(arrays):
    order = Order(arrays, False, 0.0, 8, seed=3)
    assert not np.array_equal(order.batch(0), order.batch(order.batches_per_epoch))
    assert not np.array_equal(order.batch(0), Order(arrays, False, 0.0, 8, seed=4).batch(0))


def test_the_share_of_questions_is_kept(arrays):
    order = Order(arrays, False, question_share=0.25, global_batch=8, seed=0)
    epoch = np.concatenate([order.batch(step) for step in range(order.batches_per_epoch)])
    assert (arrays.kinds[epoch] == QUESTION).mean() == pytest.approx(0.25, abs=0.03)


def test_captions_alone_in_the_alignment_stage(arrays):
    order = Order(arrays, captions=True, question_share=0.5, global_batch=8, seed=0)
    assert set(arrays.kinds[order.batch(2)]) == {CAPTION}


def test_what_is_held_out_is_never_trained_on_nor_is_another_sample_of_its_pictures(arrays):
    order = Order(arrays, False, 0.25, 8, seed=3, held_out=8)
    assert len(set(order.held_out.tolist())) == 8
    assert np.array_equal(order.held_out, Order(arrays, False, 0.25, 8, seed=3, held_out=8).held_out)
    seen = np.concatenate([order.batch(step) for step in range(3 * order.batches_per_epoch)])
    assert not np.isin(arrays.pages[seen], arrays.pages[order.held_out]).any()
    assert len(order.main) == (arrays.kinds == CODE).sum() - 8


def test_text_without_a_picture_is_held_out_by_itself(arrays):
    texts = without_pictures(arrays, range(len(arrays.lengths)))
    order = Order(texts, False, 0.0, 8, seed=3, held_out=8)
    assert len(order.main) == (arrays.kinds == CODE).sum() - 8


def test_holding_everything_out_is_refused(arrays):
    with pytest.raises(ValueError, match="48 of 48 samples held out leave none"):
        Order(arrays, False, 0.0, 8, seed=3, held_out=48)

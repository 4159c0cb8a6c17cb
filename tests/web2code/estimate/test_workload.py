import pytest

from web2code.config import PartShare
from web2code.estimate.workload import PARTS, stage_workload
from web2code.mixtures import MIXTURES
from web2code.recipes import RECIPES

RECIPE = RECIPES["llava15_7b"]()


def test_llava_15_takes_its_published_number_of_steps():
    mixture = MIXTURES["none"]()
    align = stage_workload(RECIPE.align, mixture.align, 576, 2048)
    instruct = stage_workload(RECIPE.instruct, mixture.instruct, 576, 2048)
    # Published training logs: 2181 and 5198, with a last batch that is not full.
    assert (align.steps, instruct.steps) == (2180, 5197)
    assert (align.longest, instruct.longest) == (576 + 128, 2048)
    assert align.mean_length < instruct.mean_length < 2048


def test_shares_caps_and_epochs_count():
    stage = RECIPE.instruct
    whole = stage_workload(stage, (PartShare(part="DWCG"),), 576, 2048)
    assert stage_workload(stage, (PartShare(part="DWCG", weight=0.5),), 576, 2048).samples == pytest.approx(
        whole.samples / 2, rel=0.01
    )
    assert stage_workload(stage, (PartShare(part="DWCG", cap=1280),), 576, 2048).steps == 10
    twice = stage.model_copy(update={"epochs": 2.0})
    assert stage_workload(twice, (PartShare(part="DWCG"),), 576, 2048).steps == 2 * whole.steps


def test_a_mixture_is_as_long_as_its_parts_on_average():
    parts = (PartShare(part="DWCG"), PartShare(part="DWCG_R"))
    mean = stage_workload(RECIPE.instruct, parts, 0, 2048).mean_length
    assert PARTS["DWCG"].text_tokens < mean < PARTS["DWCG_R"].text_tokens


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "tiny"])
def test_the_sizes_of_all_parts_of_the_recipes_are_known(name):
    mixture = MIXTURES[RECIPES[name]().mixture]()
    assert {share.part for share in (*mixture.align, *mixture.instruct)} <= PARTS.keys()


@pytest.mark.parametrize(("part", "max_length", "sentence"), [
    ("vsft", 2048, "the size of part 'vsft' is not known"), ("DWCG", 576, "no room for text beside 576 of a picture"),
])  # fmt: skip
def test_what_cannot_be_counted_is_refused(part, max_length, sentence):
    with pytest.raises(ValueError, match=sentence):
        stage_workload(RECIPE.instruct, (PartShare(part=part),), 576, max_length)

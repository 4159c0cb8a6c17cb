"""The formula beside torch's own counter, on toy copies of the published systems."""

from importlib.util import find_spec

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.web2code.modelling.image_text_models import PUBLISHED_MODELS, picture, save_toy
from web2code.config import LoraConfig
from web2code.estimate.tracing import ATTENTION_FLOPS, count_flops, stage_model
from web2code.modelling.image_text import ImageTextProcessor, load_processor
from web2code.modelling.llava import llava_config, load_model, shrunken
from web2code.recipes import RECIPES
from web2code.training.flops import model_flops, pieces_of
from web2code.training.trainable import set_trainable

LENGTH = 104
CASES = [
    ("llava15_7b", "align", False),
    ("llava15_7b", "instruct", False),
    ("llava15_7b", "instruct", True),
    ("crystalchat_7b_web2code", "instruct", False),
    ("llama3_8b_web2code", "instruct", False),
    ("llavar2_3_8b", "instruct", False),
]


@pytest.mark.parametrize(("recipe", "stage", "adapted"), CASES)
def test_a_sample_takes_what_the_counter_counts_but_half_the_attention(recipe, stage, adapted):
    if adapted and not find_spec("peft"):
        pytest.skip("peft is not installed")
    recipe = RECIPES[recipe]()
    config = shrunken(llava_config(recipe.model))
    trainable = getattr(recipe, stage).trainable

    def made():
        return stage_model(config, trainable, LoraConfig(rank=8) if adapted else None, torch.float32)

    learned = LENGTH - config.image_seq_length
    flops = model_flops(made())
    # The counter has attention as if it were full, and computes the forward products again backwards: 14 for our 6.
    attention = flops.square * LENGTH**2
    ours = flops.of(torch.tensor([LENGTH]).numpy(), learned, 1) - attention + 14 / 6 * attention
    # The first layer of a tower that is trained passes no gradient on: much in a toy, nothing in a real one.
    rel = 0.05 if "vision_tower" in trainable else 0.002
    assert ours == pytest.approx(count_flops(made(), LENGTH), rel=rel)


@pytest.mark.parametrize("trainable", [("language_model",), ("projector", "language_model", "vision_tower")])
@pytest.mark.parametrize("name", PUBLISHED_MODELS)
def test_pictures_of_any_size_take_what_the_counter_counts(tmp_path, name, trainable):
    """Of image-text models, of which one picture is cut into more pieces than the other."""
    model = load_model(save_toy(tmp_path, name)).train()
    set_trainable(model, trainable)
    tensors = ImageTextProcessor(load_processor(tmp_path)).tensors([picture(112, 140), picture(224, 56)], torch.float32)
    pieces, flops = pieces_of(tensors).astype(float), model_flops(model)
    assert pieces[0] != pieces[1]
    with FlopCounterMode(display=False, custom_mapping=ATTENTION_FLOPS) as counter:
        seen = model.model.get_image_features(**tensors)
        deeper = [each for features in getattr(seen, "deepstack_features", ()) for each in features]
        features = torch.cat([*seen.pooler_output, *deeper])
        if features.requires_grad:
            features.sum().backward()
    ours = flops.picture * pieces.sum() + flops.picture_square * (pieces**2).sum()
    # As above; and windows at a picture's edge are smaller.
    assert counter.get_total_flops() <= ours < (1.35 if features.requires_grad else 1.04) * counter.get_total_flops()

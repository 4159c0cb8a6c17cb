import pytest
import torch
from transformers import Trainer

from web2code.config import StageConfig
from web2code.modelling.llava import load_model
from web2code.training.trainable import parameter_groups, set_trainable

STAGE = StageConfig(
    name="instruct", trainable=("projector", "language_model", "vision_tower"), zero_stage=2, template="vicuna_v1",
    steps=1, global_batch=1, learning_rate=1e-3, module_learning_rates={"projector": 1e-2},
)  # fmt: skip


@pytest.fixture
def model(prepared):
    model = load_model(prepared / "base", torch.float32)
    set_trainable(model, STAGE.trainable)
    return model


def test_weights_decay_as_in_the_trainer_of_transformers_and_norms_and_biases_do_not(model):
    """But for the tower's embedding of a class, which is a vector, and which `Trainer` takes for a weight.

    The output layer's weight is the embedding's, a parameter once.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
            parameter.grad = torch.zeros_like(parameter)
    groups = parameter_groups(model, STAGE.model_copy(update={"weight_decay": 0.1}))
    torch.optim.AdamW(groups, lr=0.5).step()
    everything = model.named_parameters(remove_duplicate=False)
    decayed = {name for name, parameter in everything if (parameter < 1).all()}
    assert decayed == set(Trainer.get_decay_parameter_names(None, model)) - {
        "model.vision_tower.embeddings.class_embedding"
    }
    assert any("norm" in name for name, _ in model.named_parameters() if name not in decayed)


def test_without_decay_there_is_a_group_for_each_rate(model):
    groups = parameter_groups(model, STAGE)
    assert sorted(group["share"] for group in groups) == [1.0, 10.0]
    assert not any(group["weight_decay"] for group in groups)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))

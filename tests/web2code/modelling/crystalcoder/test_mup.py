import torch

from tests.web2code.modelling.crystalcoder.small import build
from web2code.modelling.crystalcoder.mup import Treatment, optimizer_groups


def test_each_parameter_is_treated_by_what_it_is():
    model = build()
    groups = optimizer_groups((name for name, _ in model.named_parameters()), model.config.mup_width_scale)
    parameters = dict(model.named_parameters())
    assert sorted(name for names in groups.values() for name in names) == sorted(parameters)
    assert groups.keys() == {Treatment(0.0625, True), Treatment(1.0, True), Treatment(1.0, False)}
    assert groups[Treatment(1.0, True)] == ["transformer.embed_tokens.weight"]
    assert {parameters[name].ndim for name in groups[Treatment(1.0, False)]} == {1}
    assert {parameters[name].ndim for name in groups[Treatment(0.0625, True)]} == {2}


def test_optimizer_takes_the_groups():
    model = build()
    parameters = dict(model.named_parameters())
    groups = optimizer_groups(parameters, model.config.mup_width_scale)
    optimizer = torch.optim.AdamW(
        {
            "params": [parameters[name] for name in names],
            "lr": 1e-3 * treatment.learning_rate_share,
            "weight_decay": 0.1 * treatment.weight_decay,
        }
        for treatment, names in groups.items()
    )
    rates = {group["lr"] for group in optimizer.param_groups}
    assert rates == {1e-3, 1e-3 * 0.0625}


def test_published_names_are_treated_alike():
    groups = optimizer_groups(["transformer.wte.weight", "transformer.h.0.attn.c_attn.bias", "lm_head.weight"], 0.25)
    assert groups == {
        Treatment(1.0, True): ["transformer.wte.weight"],
        Treatment(1.0, False): ["transformer.h.0.attn.c_attn.bias"],
        Treatment(0.25, True): ["lm_head.weight"],
    }

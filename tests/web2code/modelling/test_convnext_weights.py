import pytest
import torch
from torch.nn import functional
from transformers import ConvNextConfig, ConvNextModel

from web2code.modelling.convnext_weights import from_timm

# Two stages of timm's ConvNeXt, of one block and of two.
SHAPES = {
    "stem.0.weight": (4, 3, 4, 4),
    "stem.0.bias": (4,),
    "stem.1.weight": (4,),
    "stem.1.bias": (4,),
    "stages.0.blocks.0.gamma": (4,),
    "stages.0.blocks.0.conv_dw.weight": (4, 1, 7, 7),
    "stages.0.blocks.0.conv_dw.bias": (4,),
    "stages.0.blocks.0.norm.weight": (4,),
    "stages.0.blocks.0.norm.bias": (4,),
    "stages.0.blocks.0.mlp.fc1.weight": (16, 4),
    "stages.0.blocks.0.mlp.fc1.bias": (16,),
    "stages.0.blocks.0.mlp.fc2.weight": (4, 16),
    "stages.0.blocks.0.mlp.fc2.bias": (4,),
    "stages.1.downsample.0.weight": (4,),
    "stages.1.downsample.0.bias": (4,),
    "stages.1.downsample.1.weight": (6, 4, 2, 2),
    "stages.1.downsample.1.bias": (6,),
    "stages.1.blocks.0.gamma": (6,),
    "stages.1.blocks.0.conv_dw.weight": (6, 1, 7, 7),
    "stages.1.blocks.0.conv_dw.bias": (6,),
    "stages.1.blocks.0.norm.weight": (6,),
    "stages.1.blocks.0.norm.bias": (6,),
    "stages.1.blocks.0.mlp.fc1.weight": (24, 6),
    "stages.1.blocks.0.mlp.fc1.bias": (24,),
    "stages.1.blocks.0.mlp.fc2.weight": (6, 24),
    "stages.1.blocks.0.mlp.fc2.bias": (6,),
    "stages.1.blocks.1.gamma": (6,),
    "stages.1.blocks.1.conv_dw.weight": (6, 1, 7, 7),
    "stages.1.blocks.1.conv_dw.bias": (6,),
    "stages.1.blocks.1.norm.weight": (6,),
    "stages.1.blocks.1.norm.bias": (6,),
    "stages.1.blocks.1.mlp.fc1.weight": (24, 6),
    "stages.1.blocks.1.mlp.fc1.bias": (24,),
    "stages.1.blocks.1.mlp.fc2.weight": (6, 24),
    "stages.1.blocks.1.mlp.fc2.bias": (6,),
    "head.norm.weight": (6,),
    "head.norm.bias": (6,),
}
CONFIG = ConvNextConfig(num_stages=2, hidden_sizes=[4, 6], depths=[1, 2])


def random_weights():
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def timm_features(weights, pixels):
    """What timm's ConvNeXt computes up to its last map, written with its own names."""

    def norm(features, name):
        channels_last = features.permute(0, 2, 3, 1)
        size = channels_last.shape[-1:]
        return functional.layer_norm(channels_last, size, weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)

    def conv(features, name, **options):
        return functional.conv2d(features, weights[f"{name}.weight"], weights[f"{name}.bias"], **options)

    def block(features, name):
        hidden = norm(conv(features, f"{name}.conv_dw", padding=3, groups=features.shape[1]), f"{name}.norm")
        hidden = functional.linear(hidden, weights[f"{name}.mlp.fc1.weight"], weights[f"{name}.mlp.fc1.bias"])
        hidden = functional.gelu(hidden)
        hidden = functional.linear(hidden, weights[f"{name}.mlp.fc2.weight"], weights[f"{name}.mlp.fc2.bias"])
        return features + (hidden * weights[f"{name}.gamma"]).permute(0, 3, 1, 2)

    features = norm(conv(pixels, "stem.0", stride=4), "stem.1").permute(0, 3, 1, 2)
    features = block(features, "stages.0.blocks.0")
    features = conv(norm(features, "stages.1.downsample.0").permute(0, 3, 1, 2), "stages.1.downsample.1", stride=2)
    return block(block(features, "stages.1.blocks.0"), "stages.1.blocks.1")


def test_every_parameter_has_its_place_and_means_the_same():
    weights = random_weights()
    model = ConvNextModel(CONFIG).eval()
    model.load_state_dict(from_timm(weights), strict=True)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model(pixels).last_hidden_state, timm_features(weights, pixels))


def test_of_an_open_clip_model_the_image_trunk_is_taken():
    trunk = random_weights()
    others = ["logit_scale", "visual.head.mlp.fc1.weight", "transformer.resblocks.0.ln_1.weight", "ln_final.bias"]
    whole = {f"visual.trunk.{name}": value for name, value in trunk.items()} | dict.fromkeys(others, torch.zeros(1))
    assert from_timm(whole).keys() == from_timm(trunk).keys() == ConvNextModel(CONFIG).state_dict().keys()


def test_a_classifier_is_left_out():
    weights = random_weights()
    classifier = {"head.pre_logits.fc.weight": torch.zeros(6, 6), "head.fc.bias": torch.zeros(10)}
    assert from_timm(weights | classifier).keys() == from_timm(weights).keys()


def test_another_architecture_is_refused():
    with pytest.raises(ValueError, match=r"stages\.0\.blocks\.0\.mlp\.grn\.weight is not of a timm ConvNeXt"):
        from_timm(random_weights() | {"stages.0.blocks.0.mlp.grn.weight": torch.zeros(16)})

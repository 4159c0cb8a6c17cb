import pytest
import torch
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModel,
    CLIPVisionConfig,
    ConvNextConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from web2code.modelling.dual_tower import PARTS, DualTower, DualTowerConfig

IMAGE = 3
CLIP = {
    "image_size": 16,
    "patch_size": 4,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 8,
    "num_attention_heads": 2,
}
CONVNEXT = {"num_stages": 2, "patch_size": 4, "hidden_sizes": [8, 12], "depths": [1, 2]}
# ConvNeXt's map and CLIP's grid: alike, of CLIP's checkpoint's size; alike, of another size; coarser; finer.
GRIDS = {
    "same": {"image_size": 32},
    "interpolated": {"image_size": 64},
    "coarser": {"image_size": 16},
    "finer": {"image_size": 64, "low_image_size": 16},
}


def tower_config(image_size=32, low_image_size=None):
    return DualTowerConfig(
        clip_config=CLIPVisionConfig(**CLIP),
        convnext_config=ConvNextConfig(**CONVNEXT),
        image_size=image_size,
        low_image_size=low_image_size,
    )


def make_tower(**sizes):
    torch.manual_seed(0)
    return DualTower(tower_config(**sizes)).eval()


def make_llava(**sizes):
    torch.manual_seed(0)
    vision = tower_config(**sizes)
    text = LlamaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, pad_token_id=0
    )
    return LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=vision,
            text_config=text,
            image_token_index=IMAGE,
            image_seq_length=vision.num_image_tokens,
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
        )
    ).eval()


def mix(tower):
    """Adapters and merge as training leaves them: no longer zero."""
    for module in (tower.adapters, tower.merge):
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.2)


def pictures(size=32, count=2):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def inputs(llava, size=32):
    prompt = [1, *[IMAGE] * llava.config.image_seq_length, 5, 6, 7]
    input_ids = torch.tensor([prompt, prompt])
    return {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), "pixel_values": pictures(size)}


def clip_features(tower, pixels):
    """CLIP's last block on the resized pictures' patches, by CLIP's own modules."""
    size = tower.config.clip_input_size
    small = functional.interpolate(pixels, size=(size, size), mode="bilinear", align_corners=True)
    embeddings = tower.clip.embeddings(small, interpolate_pos_encoding=True)
    return tower.clip.encoder(tower.clip.pre_layrnorm(embeddings[:, 1:])).last_hidden_state


def saved_elements(forward):
    """Elements of the tensors kept for the backward pass, and what `forward` returns."""
    sizes = []

    def pack(tensor):
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        return forward(), sum(sizes)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_new_tower_gives_exactly_clips_features(grid):
    tower = make_tower(**GRIDS[grid])
    pixels = pictures(GRIDS[grid]["image_size"])
    with torch.no_grad():
        features = tower(pixels).last_hidden_state
        assert torch.equal(features, clip_features(tower, pixels))
    assert features.shape == (2, tower.config.num_image_tokens, tower.config.hidden_size)


def test_detail_that_clip_does_not_see_reaches_the_features():
    tower = make_tower()
    pixels = pictures()
    finer = pixels.clone()
    # Halving 32 columns with aligned corners never reads the second.
    finer[..., 1] += 1
    with torch.no_grad():
        assert torch.equal(tower(pixels).last_hidden_state, tower(finer).last_hidden_state)
        mix(tower)
        assert not torch.allclose(tower(pixels).last_hidden_state, tower(finer).last_hidden_state)


@pytest.mark.parametrize("grid", GRIDS)
def test_adapters_come_after_each_of_the_first_three_quarters_of_clips_blocks(grid):
    tower = make_tower(**GRIDS[grid])
    mix(tower)
    pixels = pictures(GRIDS[grid]["image_size"])
    size = tower.config.clip_input_size
    small = functional.interpolate(pixels, size=(size, size), mode="bilinear", align_corners=True)
    with torch.no_grad():
        slow = tower.convnext(pixels).last_hidden_state
        fast = tower.clip.pre_layrnorm(tower.clip.embeddings(small, interpolate_pos_encoding=True)[:, 1:])
        blocks = tower.clip.encoder.layers
        fast = tower.adapters[0](blocks[1](blocks[0](fast, None), None), slow)
        fast = tower.adapters[1](blocks[3](blocks[2](fast, None), None), slow)
        fast = tower.adapters[2](blocks[5](blocks[4](fast, None), None), slow)
        expected = tower.merge(blocks[7](blocks[6](fast, None), None), slow)
        torch.testing.assert_close(tower(pixels).last_hidden_state, expected)


def test_the_defaults_are_llavar2s():
    config = DualTowerConfig()
    assert (config.clip_input_size, config.num_image_tokens, config.hidden_size) == (336, 576, 1024)
    assert DualTowerConfig(image_size=1024).clip_input_size == 448
    assert DualTowerConfig(image_size=384).num_image_tokens == 576
    with torch.device("meta"):
        tower = DualTower(config)
    # The published image tower of convnext_large_mlp without its head, and CLIP ViT-L/14-336's vision model.
    counts = {
        name: sum(weight.numel() for weight in getattr(tower, name).parameters()) for name in ("convnext", "clip")
    }
    assert counts == {"convnext": 196_230_336, "clip": 303_507_456}


def test_llava_learns_with_it_and_gradients_reach_every_adapter():
    llava = make_llava().train()
    batch = inputs(llava)
    tower = llava.model.vision_tower
    optimizer = torch.optim.SGD(llava.parameters(), lr=0.5)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = llava(**batch, labels=batch["input_ids"].masked_fill(batch["input_ids"] == IMAGE, -100)).loss
        loss.backward()
        losses.append(loss.item())
        if len(losses) == 1:
            # What starts at zero is what learns first.
            assert all(adapter.slow_proj.weight.grad.any() for adapter in tower.adapters)
            assert all(adapter.fast_proj.weight.grad.any() for adapter in tower.adapters)
            assert tower.merge.slow_proj.weight.grad.any()
        optimizer.step()
    assert losses[-1] < losses[0]
    for module in (tower.adapters, tower.merge, tower.convnext.embeddings, tower.clip.embeddings.patch_embedding):
        assert all(parameter.grad.any() for parameter in module.parameters())


def test_llava_generates_with_it():
    llava = make_llava()
    mix(llava.model.vision_tower)
    batch = inputs(llava)
    output = llava.generate(**batch, max_new_tokens=4, min_new_tokens=4, do_sample=False)
    assert output.shape == (2, batch["input_ids"].shape[1] + 4)
    with torch.no_grad():
        logits = llava(**batch).logits[:, -1]
    assert output[:, -4].tolist() == logits.argmax(-1).tolist()
    assert not torch.allclose(logits[0], logits[1])


def test_saved_and_loaded_through_the_auto_classes(tmp_path):
    llava = make_llava()
    mix(llava.model.vision_tower)
    llava.save_pretrained(tmp_path / "llava")
    llava.model.vision_tower.save_pretrained(tmp_path / "tower")
    assert (tmp_path / "llava" / "model.safetensors").exists()
    loaded = LlavaForConditionalGeneration.from_pretrained(tmp_path / "llava")
    tower = AutoModel.from_pretrained(tmp_path / "tower")
    assert isinstance(tower, DualTower)
    assert isinstance(AutoConfig.from_pretrained(tmp_path / "tower"), DualTowerConfig)
    batch = inputs(llava)
    with torch.no_grad():
        assert torch.equal(loaded(**batch).logits, llava(**batch).logits)
        assert torch.equal(
            tower(batch["pixel_values"]).last_hidden_state,
            llava.model.vision_tower(batch["pixel_values"]).last_hidden_state,
        )


def test_a_checkpoint_without_adapters_starts_as_clip(tmp_path):
    tower = make_tower()
    published = {name: weight for name, weight in tower.state_dict().items() if name.startswith(("clip", "convnext"))}
    tower.save_pretrained(tmp_path, state_dict=published)
    torch.manual_seed(5)
    loaded = AutoModel.from_pretrained(tmp_path).eval()
    pixels = pictures()
    with torch.no_grad():
        assert torch.equal(loaded(pixels).last_hidden_state, clip_features(tower, pixels))


def test_half_precision_weights_take_full_precision_pictures():
    tower = make_tower().to(torch.bfloat16)
    mix(tower)
    with torch.no_grad():
        assert tower(pictures()).last_hidden_state.dtype == torch.bfloat16


@pytest.mark.parametrize("part", PARTS)
def test_a_stage_can_train_one_part_only(part):
    llava = make_llava()
    mix(llava.model.vision_tower)
    inside = [name for name, _ in llava.named_parameters() if name.startswith("model.vision_tower.")]
    assert all(sum(name.startswith(prefix) for prefix in PARTS.values()) == 1 for name in inside)
    for name, parameter in llava.named_parameters():
        parameter.requires_grad_(name.startswith(PARTS[part]))
    llava(**inputs(llava)).logits.sum().backward()
    learned = {name for name, parameter in llava.named_parameters() if parameter.grad is not None}
    assert learned
    assert all(name.startswith(PARTS[part]) for name in learned)


def test_frozen_parts_keep_no_activations():
    tower = make_tower().requires_grad_(False)
    assert not tower(pictures()).last_hidden_state.requires_grad
    tower.merge.requires_grad_(True)
    features, saved = saved_elements(lambda: tower(pictures()).last_hidden_state)
    assert features.requires_grad
    assert saved <= 2 * 16 * (16 + 12), "more than what the two linear layers of the merge read"


def test_gradient_checkpointing_keeps_less_and_gives_the_same_gradients():
    llava = make_llava().train()
    tower = llava.model.vision_tower
    mix(tower)
    kept, gradients = {}, {}
    for checkpointing in (False, True):
        if checkpointing:
            llava.gradient_checkpointing_enable()
        llava.zero_grad()
        features, kept[checkpointing] = saved_elements(lambda: tower(pictures()).last_hidden_state)
        features.square().sum().backward()
        gradients[checkpointing] = {
            name: parameter.grad.clone() for name, parameter in tower.named_parameters() if parameter.grad is not None
        }
    torch.testing.assert_close(gradients[True], gradients[False])
    assert kept[True] < kept[False] / 4


def test_attention_can_be_changed_again_also_after_loading(tmp_path):
    llava = make_llava()
    for attention in ("eager", "sdpa", "eager"):
        llava.set_attn_implementation(attention)
        assert llava.model.vision_tower.clip.config._attn_implementation == attention
    llava.save_pretrained(tmp_path)
    loaded = LlavaForConditionalGeneration.from_pretrained(tmp_path, attn_implementation="sdpa")
    loaded.set_attn_implementation("eager")
    assert loaded.model.vision_tower.clip.config._attn_implementation == "eager"


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({"image_size": 33}, "image_size 33 is not a multiple of 8"),
        ({"image_size": 32, "low_image_size": 18}, "low_image_size 18 is not a multiple of 4"),
        ({"image_size": 24, "low_image_size": 16}, "neither of ConvNeXt's 3 and CLIP's 4 features a side"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, reason):
    with pytest.raises(ValueError, match=reason):
        tower_config(**sizes)


def test_clip_blocks_that_make_no_four_groups_are_refused():
    with pytest.raises(ValueError, match="CLIP's 6 layers do not make 4 equal groups"):
        DualTowerConfig(clip_config=CLIPVisionConfig(**CLIP | {"num_hidden_layers": 6}))


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(16, 16\) pixels in a tower for 32 x 32"):
        make_tower()(pictures(16))

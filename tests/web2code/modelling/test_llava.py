import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, CLIPModel, LlavaForConditionalGeneration

from tests.web2code.modelling.checkpoints import LANGUAGE_MODELS as FAMILIES
from tests.web2code.modelling.checkpoints import VISION, save_language_model, save_vision_tower
from tests.web2code.modelling.checkpoints import VISION_TOWERS as TOWERS
from tests.web2code.modelling.test_convnext_weights import CONFIG, random_weights
from web2code.config import PretrainedModelConfig
from web2code.modelling.backbones import LANGUAGE_MODELS, VISION_TOWERS, Backbone
from web2code.modelling.base import save_checkpoint
from web2code.modelling.convnext_weights import from_timm
from web2code.modelling.llava import IMAGE_TOKEN, assemble, empty_model, llava_config, load_model, shrunken
from web2code.modelling.prompts import about_image, conversation_sample
from web2code.modelling.templates import TEMPLATES
from web2code.recipes import RECIPES


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    saved = {name: save_language_model(folder / name, name) for name in FAMILIES}
    return saved | {name: save_vision_tower(folder / name, name) for name in TOWERS}


def recipe_model(parts, language="llama", tower="clip_vision_model", **changes):
    values = {"max_length": 128, "vision_feature_select": "full" if tower == "siglip" else "default"} | changes
    return PretrainedModelConfig(language_model=parts[language], vision_tower=parts[tower], **values)


@pytest.mark.parametrize(("language", "tower"), [
    *((name, "clip_vision_model") for name in FAMILIES), *(("llama", name) for name in TOWERS),
])  # fmt: skip
def test_the_parts_keep_their_weights(parts, language, tower):
    model = assemble(recipe_model(parts, language, tower), torch.float32, seed=0).model
    alone = AutoModelForCausalLM.from_pretrained(parts[language])
    ids = torch.tensor([[1, 7, 9, 12]])
    old = alone.config.vocab_size
    torch.testing.assert_close(model(input_ids=ids).logits[..., :old], alone(input_ids=ids).logits)
    whole = (CLIPModel if tower == "clip" else AutoModel).from_pretrained(parts[tower])
    seen = whole.vision_model if tower == "clip" else whole
    pixels = torch.randn(1, 3, 28, 28)
    torch.testing.assert_close(
        model.model.vision_tower(pixels).last_hidden_state, seen(pixels).last_hidden_state, rtol=1e-5, atol=1e-5
    )


def test_a_dual_tower_gets_the_weights_of_both_its_parts(parts, tmp_path, monkeypatch):
    save_file(random_weights(), tmp_path / "model.safetensors")
    shape = {"model_type": "web2code_dual_tower", "image_size": 16, "clip_config": VISION, "convnext_config": CONFIG}
    tower = Backbone(parts["clip_vision_model"], "MIT", shape, slow_hub=str(tmp_path))
    monkeypatch.setitem(VISION_TOWERS, "small-dual", tower)
    model = PretrainedModelConfig(
        language_model=parts["llama"], vision_tower="small-dual", vision_feature_layer=-1,
        vision_feature_select="full", max_length=128,
    )  # fmt: skip
    built = assemble(model, torch.float32, seed=0).model
    clip = AutoModel.from_pretrained(parts["clip_vision_model"]).state_dict()
    seen = built.model.vision_tower
    assert all(torch.equal(value, clip[name]) for name, value in seen.clip.state_dict().items())
    convnext = from_timm(random_weights())
    assert all(torch.equal(value, convnext[name]) for name, value in seen.convnext.state_dict().items())
    ids = torch.tensor([[1, *[built.config.image_token_id] * 4, 7]])
    assert built(input_ids=ids, pixel_values=torch.randn(1, 3, 16, 16)).logits.isfinite().all()


@pytest.mark.parametrize("projector", ["linear", "mlp2x_gelu"])
@pytest.mark.parametrize("language", ["llama", "qwen3", "crystalcoder"])
def test_what_is_saved_is_what_is_loaded(parts, tmp_path, language, projector):
    assembled = assemble(recipe_model(parts, language, projector=projector), torch.float32, seed=0)
    save_checkpoint(tmp_path, assembled.model, assembled.tokenizer, TEMPLATES["vicuna_v1"])
    loaded, tokenizer = load_model(tmp_path, torch.float32), AutoTokenizer.from_pretrained(tmp_path)
    sample = conversation_sample(
        tokenizer, TEMPLATES["user_assistant"], about_image(("What?", "A page.")), loaded.config.image_seq_length
    )
    inputs = {"input_ids": torch.tensor([sample.tokens]), "pixel_values": torch.randn(1, 3, 28, 28)}
    assert torch.equal(loaded(**inputs).logits, assembled.model(**inputs).logits)
    assert tokenizer.pad_token == "<pad>"
    assert loaded.generation_config.eos_token_id == [tokenizer.convert_tokens_to_ids("</s>")]


def test_the_picture_changes_what_is_said(parts):
    assembled = assemble(recipe_model(parts), torch.float32, seed=0)
    sample = conversation_sample(assembled.tokenizer, TEMPLATES["user_assistant"], about_image(("What?", "A page.")), 4)
    ids = torch.tensor([sample.tokens])
    first, second = (
        assembled.model(input_ids=ids, pixel_values=torch.randn(1, 3, 28, 28)).logits for _ in range(2)
    )  # fmt: skip
    assert not torch.allclose(first[:, -1], second[:, -1])


def test_the_image_token_is_new_and_has_a_row(parts):
    assembled = assemble(recipe_model(parts), torch.float32, seed=0)
    image = assembled.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    assert image == assembled.model.config.image_token_id == len(assembled.tokenizer) - 1
    assert assembled.model.get_input_embeddings().num_embeddings > image
    assert assembled.model.lm_head.out_features == assembled.model.config.text_config.vocab_size


def test_the_same_seed_gives_the_same_projector(parts):
    one, same, other = (
        assemble(recipe_model(parts), torch.float32, seed).model.model.multi_modal_projector.linear_1.weight
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_the_empty_model_takes_no_memory_and_the_shrunken_one_keeps_its_classes(name):
    config = llava_config(
        PretrainedModelConfig(language_model=name, vision_tower="clip-vit-large-patch14-336", projector="linear")
    )
    full, small = empty_model(config), empty_model(shrunken(config))
    assert all(parameter.is_meta for parameter in full.parameters())
    assert config.image_seq_length == 576
    assert config.image_token_id < config.text_config.vocab_size
    kinds = [{type(module) for module in model.modules()} for model in (full, small)]
    assert kinds[0] == kinds[1]
    assert sum(parameter.numel() for parameter in small.parameters()) < 1e6
    grouped = {
        getattr(each.text_config, "num_key_value_heads", 10**9) < each.text_config.num_attention_heads
        for each in (config, small.config)
    }
    assert len(grouped) == 1


def test_llava_15_has_its_published_size():
    config = llava_config(
        PretrainedModelConfig(language_model="vicuna-7b-v1.5", vision_tower="clip-vit-large-patch14-336")
    )
    # llava-hf/llava-1.5-7b-hf, which rounds the embeddings up to the same 32,064 rows.
    assert sum(parameter.numel() for parameter in empty_model(config).parameters()) == 7_063_427_072


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"max_length": 8192}, r"max_length: vicuna-7b-v1.5 reads at most 4096 tokens, not 8192: lower it"),
    ({"vision_tower": "siglip-so400m-patch14-384"}, r"vision_feature_select: .* has no class token .*set it to full"),
    (
        {"vision_tower": "clip-convnext-768", "vision_feature_select": "full"},
        r"vision_feature_layer: a dual tower has one layer of features: set it to -1",
    ),
])  # fmt: skip
def test_parts_that_do_not_fit_are_refused(changes, sentence):
    values = {"language_model": "vicuna-7b-v1.5", "vision_tower": "clip-vit-large-patch14-336"} | changes
    with pytest.raises(ValueError, match=sentence):
        llava_config(PretrainedModelConfig(**values))


def test_a_loaded_models_weights_stay_in_its_file_until_they_are_used(tmp_path):
    """Workers of one machine have them together, and a worker may take them one by one."""
    config = llava_config(RECIPES["llava15_7b"]().model)
    small = shrunken(config)
    small.text_config.update({"vocab_size": 100_000, "hidden_size": 128})
    LlavaForConditionalGeneration(small).save_pretrained(tmp_path)
    before = memory_of_its_own()
    model = load_model(tmp_path)
    assert memory_of_its_own() - before < sum(weight.nbytes for weight in model.parameters()) / 4


def memory_of_its_own():
    """Bytes of this process in no file."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"RssAnon:\s+(\d+)", status)[1])

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from tests.web2code.modelling.crystalcoder.small import PUBLISHED, build, randomise, tokens
from web2code.modelling.crystalcoder import CrystalCoderConfig

IMAGE, PATCHES = 63, 4
VISION = CLIPVisionConfig(
    image_size=28, patch_size=14, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2
)


def llava_around(text):
    """A LLaVA whose language model is `text`, a CrystalCoderForCausalLM."""
    config = LlavaConfig(
        text_config=text.config, vision_config=VISION, image_token_index=IMAGE, image_seq_length=PATCHES
    )
    torch.manual_seed(2)
    llava = randomise(LlavaForConditionalGeneration(config).to(text.dtype).eval())
    llava.model.language_model.load_state_dict(text.transformer.state_dict())
    return llava


def screenshot_and_prompt():
    ids = tokens(1, 10)
    ids[:, 1 : 1 + PATCHES] = IMAGE
    return {"pixel_values": torch.rand(1, 3, 28, 28, dtype=torch.float64), "input_ids": ids}


@pytest.mark.skipif(not PUBLISHED.exists(), reason="CrystalCoder's published files are not beside this checkout")
def test_text_logits_equal_those_of_the_published_code():
    folder = PUBLISHED / "tiny_parity"
    expected = load_file(folder / "expected.safetensors")
    llava = llava_around(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64))
    with torch.no_grad():
        logits = llava(input_ids=expected["input_ids"]).logits
        from_embeds = llava(inputs_embeds=expected["inputs_embeds"]).logits
    torch.testing.assert_close(logits, expected["logits"], rtol=0, atol=1e-12)
    torch.testing.assert_close(from_embeds, expected["logits_from_embeds"], rtol=0, atol=1e-12)


def test_projected_images_pass_the_same_factor_as_words():
    text = build()
    llava, inputs = llava_around(text), screenshot_and_prompt()
    with torch.no_grad():
        logits = llava(**inputs).logits
        features = llava.get_image_features(inputs["pixel_values"], -2, "default").pooler_output[0]
        embeddings = text.get_input_embeddings()(inputs["input_ids"])
        embeddings[0, 1 : 1 + PATCHES] = features
        expected = text(inputs_embeds=embeddings).logits
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_generation_with_a_cache_equals_recomputing_every_token(cache):
    llava, inputs = llava_around(build(eos_token_id=None)), screenshot_and_prompt()
    answer = llava.generate(
        **inputs, max_new_tokens=6, do_sample=False, cache_implementation=cache, disable_compile=True, pad_token_id=0
    )
    recomputed = inputs["input_ids"]
    with torch.no_grad():
        for _ in range(6):
            logits = llava(input_ids=recomputed, pixel_values=inputs["pixel_values"], use_cache=False).logits
            recomputed = torch.cat([recomputed, logits[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(answer, recomputed)


def test_checkpoint_round_trips_through_the_auto_classes(tmp_path):
    llava = llava_around(build())
    llava.save_pretrained(tmp_path)
    loaded, loading = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"] | loading["unexpected_keys"]
    assert isinstance(loaded.config.text_config, CrystalCoderConfig)
    expected = llava.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())
    assert loaded.lm_head.weight is loaded.get_input_embeddings().weight


def test_resizing_the_vocabulary_keeps_the_logits_and_the_tie():
    llava, inputs = llava_around(build()), screenshot_and_prompt()
    with torch.no_grad():
        before = llava(**inputs).logits
        llava.resize_token_embeddings(80)
        after = llava(**inputs).logits
    torch.testing.assert_close(after[..., :64], before, rtol=0, atol=1e-12)
    assert llava.lm_head.weight is llava.get_input_embeddings().weight
    assert llava.config.text_config.vocab_size == 80


def test_gradients_reach_the_projector_through_checkpointed_blocks():
    gradients = []
    for checkpointing in (False, True):
        llava = llava_around(build()).train()
        if checkpointing:
            llava.gradient_checkpointing_enable()
        torch.manual_seed(3)
        inputs = screenshot_and_prompt()
        llava(**inputs, labels=inputs["input_ids"]).loss.backward()
        gradients.append(llava.model.multi_modal_projector.linear_1.weight.grad)
    assert gradients[0].abs().sum() > 0
    assert torch.equal(*gradients)

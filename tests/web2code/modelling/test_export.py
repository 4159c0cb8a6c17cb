import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor, AutoTokenizer, LlavaForConditionalGeneration, LlavaProcessor
from typer.testing import CliRunner

from tests.web2code.modelling.checkpoints import LANGUAGE_MODELS, save_language_model, save_llava, save_vision_tower
from web2code.artifacts import verify
from web2code.cli import app
from web2code.config import PretrainedModelConfig
from web2code.modelling.base import load_template, save_checkpoint
from web2code.modelling.dual_tower import DualTowerConfig
from web2code.modelling.export import export_checkpoint
from web2code.modelling.images import normalise, pixel_statistics, square_pixels
from web2code.modelling.llava import assemble, llava_config, load_model, shrunken
from web2code.modelling.prompts import about_image, conversation_prompt, stop_ids
from web2code.modelling.templates import TEMPLATES

# Some of the names in llava-hf/llava-1.5-7b-hf.
PUBLISHED = {
    "language_model.model.embed_tokens.weight",
    "language_model.model.layers.0.self_attn.q_proj.weight",
    "language_model.model.norm.weight",
    "language_model.lm_head.weight",
    "multi_modal_projector.linear_1.weight",
    "multi_modal_projector.linear_2.bias",
    "vision_tower.vision_model.embeddings.class_embedding",
    "vision_tower.vision_model.pre_layrnorm.weight",
    "vision_tower.vision_model.encoder.layers.0.self_attn.k_proj.bias",
    "vision_tower.vision_model.post_layernorm.bias",
}
QUESTION = "Write the HTML of this page."


def screenshot(width, height):
    stream = io.BytesIO()
    random = np.random.default_rng(width)
    Image.fromarray(random.integers(0, 255, (height, width, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def names(folder):
    with safe_open(folder / "model.safetensors", "pt") as weights:
        return set(weights.keys())


def assembled(folder, language="llama", tower="clip_vision_model", **changes):
    """A checkpoint of published parts."""
    model = PretrainedModelConfig(
        language_model=save_language_model(folder / language, language),
        vision_tower=save_vision_tower(folder / tower, tower),
        **{"max_length": 128} | changes,
    )
    made = assemble(model, torch.float32, seed=0)
    save_checkpoint(folder / "model", made.model, made.tokenizer, TEMPLATES["vicuna_v1"])
    return folder / "model"


def chat(picture, question=QUESTION):
    image = Image.open(io.BytesIO(picture))
    content = [{"type": "image", "image": image}, {"type": "text", "text": question}]
    return [{"role": "user", "content": content}]


@pytest.mark.parametrize(("language", "tower", "changes"), [
    *((name, "clip_vision_model", {}) for name in LANGUAGE_MODELS),
    ("llama", "siglip", {"vision_feature_select": "full"}),
    ("llama", "clip_vision_model", {"vision_feature_select": "full"}),
])  # fmt: skip
def test_transformers_gets_the_same_logits(tmp_path, language, tower, changes):
    checkpoint, out = assembled(tmp_path, language, tower, **changes), tmp_path / "out"
    export_checkpoint(checkpoint, out)
    model, processor = LlavaForConditionalGeneration.from_pretrained(out), AutoProcessor.from_pretrained(out)
    assert isinstance(processor, LlavaProcessor)
    picture = screenshot(60, 100)
    given = processor.apply_chat_template(
        chat(picture), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    original, tokenizer = (each.from_pretrained(checkpoint) for each in (LlavaForConditionalGeneration, AutoTokenizer))
    tokens = conversation_prompt(
        tokenizer, load_template(checkpoint), about_image((QUESTION, None)), original.config.image_seq_length
    )
    assert given["input_ids"].tolist() == [tokens]
    mean, std = pixel_statistics(original.config.vision_config)
    pixels = normalise(np.stack([square_pixels(picture, 28, mean)]), mean, std)
    torch.testing.assert_close(given["pixel_values"], pixels, rtol=0, atol=1e-6)
    ids = torch.tensor([tokens])
    assert torch.equal(
        model(input_ids=ids, pixel_values=pixels).logits, original(input_ids=ids, pixel_values=pixels).logits
    )


def test_the_weights_have_the_published_names(tmp_path):
    out = tmp_path / "out"
    export_checkpoint(assembled(tmp_path), out)
    assert names(out) >= PUBLISHED
    assert {name.partition(".")[0] for name in names(out)} == {
        "language_model",
        "multi_modal_projector",
        "vision_tower",
    }
    assert json.loads((out / "config.json").read_text())["architectures"] == ["LlavaForConditionalGeneration"]
    verify(str(out))
    export_checkpoint(out, tmp_path / "again")
    assert names(tmp_path / "again") == names(out)


@pytest.mark.parametrize("name", ["user_assistant", "vicuna_v1", "mpt", "llama3", "phi3_instruct", "plain"])
def test_the_processor_prompts_as_the_model_was_trained(tmp_path, name):
    template = TEMPLATES[name]
    export_checkpoint(save_llava(tmp_path / "model", template), tmp_path / "out")
    processor = AutoProcessor.from_pretrained(tmp_path / "out")
    given = processor.apply_chat_template(
        chat(screenshot(64, 48)), add_generation_prompt=True, tokenize=True, return_dict=True
    )
    assert list(given["input_ids"][0]) == conversation_prompt(
        processor.tokenizer, template, about_image((QUESTION, None)), image_tokens=4
    )
    stops = json.loads((tmp_path / "out" / "generation_config.json").read_text())["eos_token_id"]
    assert stops == stop_ids(processor.tokenizer, template)


def test_a_large_picture_differs_a_little_in_the_processor(tmp_path):
    export_checkpoint(save_llava(tmp_path / "model", TEMPLATES["mpt"]), tmp_path / "out")
    picture = screenshot(640, 480)
    seen = AutoProcessor.from_pretrained(tmp_path / "out").image_processor(Image.open(io.BytesIO(picture)))
    apart = (torch.as_tensor(np.stack(seen["pixel_values"])) - normalise(np.stack([square_pixels(picture, 32)]))).abs()
    assert 0 < apart.mean() < 0.1


def test_another_precision_can_be_asked_for(tmp_path):
    export_checkpoint(save_llava(tmp_path / "model", TEMPLATES["mpt"]), tmp_path / "out", "bfloat16")
    before, after = (load_file(tmp_path / folder / "model.safetensors") for folder in ("model", "out"))
    name = "multi_modal_projector.linear_1.weight"
    assert torch.equal(after[name], before[name].bfloat16())
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"


def test_what_a_killed_export_left_is_done_again(tmp_path):
    checkpoint, left = save_llava(tmp_path / "model", TEMPLATES["mpt"]), tmp_path / ".out.unfinished"
    left.mkdir()
    (left / "model-00001-of-00002.safetensors").write_bytes(b"half")
    export_checkpoint(checkpoint, tmp_path / "out")
    verify(str(tmp_path / "out"))
    assert not (tmp_path / "out" / "model-00001-of-00002.safetensors").exists()
    assert not left.exists()


def test_only_the_same_export_may_be_there_already(tmp_path):
    checkpoint, out = save_llava(tmp_path / "model", TEMPLATES["mpt"]), tmp_path / "out"
    out.mkdir()
    export_checkpoint(checkpoint, out)
    before = (out / "model.safetensors").stat().st_mtime_ns
    export_checkpoint(checkpoint, out)
    assert (out / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="out holds something else than this export: name a folder"):
        export_checkpoint(checkpoint, out, "float16")
    with pytest.raises(ValueError, match="model holds something else"):
        export_checkpoint(out, checkpoint)


def test_a_checkpoint_that_lacks_a_weight_is_refused(tmp_path):
    checkpoint = save_llava(tmp_path / "model", TEMPLATES["mpt"])
    weights = load_file(checkpoint / "model.safetensors")
    del weights["multi_modal_projector.linear_2.bias"]
    save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"not one whole model: .*linear_2.bias is missing"):
        export_checkpoint(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_linear_projector_becomes_two_layers_that_compute_the_same(tmp_path):
    checkpoint, out = assembled(tmp_path, "crystalcoder", projector="linear"), tmp_path / "out"
    export_checkpoint(checkpoint, out)
    assert json.loads((out / "config.json").read_text())["architectures"] == ["LlavaForConditionalGeneration"]
    linear, layers = load_model(checkpoint), LlavaForConditionalGeneration.from_pretrained(out)
    ids = torch.tensor([[1, *[linear.config.image_token_id] * 4, 5, 6, 7]])
    picture = torch.randn(1, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    seen, blank = (linear(input_ids=ids, pixel_values=pixels).logits for pixels in (picture, torch.zeros_like(picture)))
    assert (seen - blank).abs().max() > 1e-3
    torch.testing.assert_close(layers(input_ids=ids, pixel_values=picture).logits, seen, rtol=0, atol=1e-5)
    export_checkpoint(out, tmp_path / "again")
    assert names(tmp_path / "again") == names(out)


def test_a_linear_projector_into_a_narrow_language_model_is_refused_in_a_sentence(tmp_path):
    checkpoint = assembled(tmp_path, projector="linear")
    refused = CliRunner().invoke(app, ["export", str(checkpoint), str(tmp_path / "out")])
    assert refused.exit_code == 2
    assert "cannot be served: vLLM has no linear projector, and" in refused.stderr
    assert "what works is transformers, where" in refused.stderr


def test_a_dual_tower_is_refused_by_a_process_that_has_not_met_one(tmp_path):
    model = PretrainedModelConfig(
        language_model="vicuna-7b-v1.5", vision_tower="clip-convnext-768", vision_feature_layer=-1,
        vision_feature_select="full",
    )  # fmt: skip
    shrunken(llava_config(model)).save_pretrained(tmp_path / "model")
    refused = subprocess.run(
        [sys.executable, "-m", "web2code.cli", "export", str(tmp_path / "model"), str(tmp_path / "out")],
        capture_output=True, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert f"vLLM has no vision tower '{DualTowerConfig.model_type}'" in refused.stderr


def test_the_command_says_how_to_serve(tmp_path, monkeypatch):
    monkeypatch.setenv("WEB2CODE_VLLM_PYTHON", sys.executable)
    checkpoint, out = save_llava(tmp_path / "model", TEMPLATES["mpt"]), tmp_path / "out"
    done = CliRunner().invoke(app, ["export", str(checkpoint), str(out), "--dtype", "bfloat16"])
    assert done.exit_code == 0, done.stderr
    assert f"{sys.executable} -m vllm.entrypoints.openai.api_server --model {out}" in done.stdout
    monkeypatch.setenv("WEB2CODE_VLLM_PYTHON", str(tmp_path / "none"))
    again = CliRunner().invoke(app, ["export", str(checkpoint), str(out), "--dtype", "bfloat16"])
    assert again.exit_code == 0, again.stderr
    assert "nothing here serves it yet" in again.stdout
    assert "run `make vllm`" in again.stdout
    missing = CliRunner().invoke(app, ["export", str(tmp_path / "nothing"), str(tmp_path / "other")])
    assert missing.exit_code == 2
    assert "is not a checkpoint: it has no config.json" in missing.stderr

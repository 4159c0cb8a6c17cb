import io
import json
from pickle import UnpicklingError

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from tests.web2code.modelling.checkpoints import Attack, save_language_model, save_vision_tower
from web2code.cli import app
from web2code.config import PretrainedModelConfig
from web2code.modelling.base import load_template
from web2code.modelling.generation import Generator
from web2code.modelling.llava import assemble, load_model
from web2code.modelling.llava_layout import import_checkpoint
from web2code.modelling.templates import TEMPLATES

PREFIX = {"crystalcoder": "transformer", "llama": "model", "mistral": "model"}
ARCHITECTURE = {
    "crystalcoder": "LlavaCrystalForCausalLM", "llama": "LlavaLlamaForCausalLM", "mistral": "LlavaMistralForCausalLM",
}  # fmt: skip
LAYERS = {"linear": {"linear_1": ""}, "mlp2x_gelu": {"linear_1": "0.", "linear_2": "2."}}


def publish(folder, language="llama", projector="mlp2x_gelu", with_tower=False, shards=1, **changes):
    """A checkpoint as LLaVA's own code saves one, and the model that it is."""
    parts = folder / "parts"
    text, tower = (
        save_language_model(parts / language, language),
        save_vision_tower(parts / "clip", "clip_vision_model"),
    )
    made = assemble(
        PretrainedModelConfig(language_model=text, vision_tower=tower, projector=projector, max_length=128),
        torch.float32,
        seed=7,
    )
    prefix, weights = PREFIX[language], dict(load_file(f"{text}/model.safetensors"))
    for name, tensor in made.model.model.multi_modal_projector.state_dict().items():
        layer, _, kind = name.partition(".")
        weights[f"{prefix}.mm_projector.{LAYERS[projector][layer]}{kind}"] = tensor
    weights[f"{prefix}.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    if with_tower:
        for name, tensor in load_file(f"{tower}/model.safetensors").items():
            weights[f"{prefix}.vision_tower.vision_tower.{name}"] = tensor + 0.25
        with torch.no_grad():
            for parameter in made.model.model.vision_tower.parameters():
                parameter += 0.25
    source = folder / "published"
    source.mkdir()
    names = list(weights)
    files = [f"pytorch_model-{n + 1:05}-of-{shards:05}.bin" for n in range(shards)]
    for number, file in enumerate(files):
        torch.save({name: weights[name] for name in names[number::shards]}, source / file)
    weight_map = {name: files[position % shards] for position, name in enumerate(names)}
    (source / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (source / file).write_text((parts / language / file).read_text())
    config = json.loads((parts / language / "config.json").read_text()) | {
        "model_type": "llava_crystal" if language == "crystalcoder" else "llava",
        "architectures": [ARCHITECTURE[language]], "mm_vision_tower": tower, "mm_projector_type": projector,
        "mm_hidden_size": 32, "mm_vision_select_layer": -2, "mm_vision_select_feature": "patch",
        "tokenizer_model_max_length": 128, "tune_mm_mlp_adapter": False, "image_aspect_ratio": "pad",
    }  # fmt: skip
    (source / "config.json").write_text(json.dumps(config | changes))
    return source, made.model.eval()


def logits(model):
    image = model.config.image_token_id
    ids = torch.tensor([[3, *[image] * model.config.image_seq_length, 5, 9, 4]])
    pixels = torch.randn(1, 3, 28, 28, generator=torch.Generator().manual_seed(3))
    known = model.config.image_token_id - 1  # the rows of <pad> and <image> are new
    with torch.no_grad():
        return model(input_ids=ids, pixel_values=pixels).logits[..., :known]


@pytest.mark.parametrize(("language", "options"), [
    ("crystalcoder", {"with_tower": True, "shards": 3}),
    ("crystalcoder", {}),
    ("llama", {"shards": 2}),
    ("llama", {"projector": "linear"}),
    ("mistral", {"with_tower": True}),
])  # fmt: skip
def test_an_imported_checkpoint_is_the_published_model(tmp_path, language, options):
    source, model = publish(tmp_path, language, **options)
    import_checkpoint(source, tmp_path / "imported", TEMPLATES["vicuna_v1"])
    imported = load_model(tmp_path / "imported", torch.float32).eval()
    assert torch.equal(logits(imported), logits(model))
    assert load_template(tmp_path / "imported") == TEMPLATES["vicuna_v1"]
    assert not any(path.suffix == ".bin" for path in (tmp_path / "imported").iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"parts", "published", "imported"}


def test_the_command_makes_what_answers(tmp_path):
    source, _ = publish(tmp_path, "crystalcoder")
    result = CliRunner().invoke(app, ["import", str(source), str(tmp_path / "imported"), "--template", "plain"])
    assert result.exit_code == 0, result.output
    assert f"web2code evaluate {tmp_path / 'imported'} --benchmarks wcgb,wub" in result.stdout
    stream = io.BytesIO()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(stream, "PNG")
    [answer] = Generator(tmp_path / "imported").generate([stream.getvalue()], ["Write this page."], 3)
    assert isinstance(answer, str)


def test_a_tokenizer_that_is_not_there_can_be_named(tmp_path):
    source, model = publish(tmp_path)
    for path in source.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ValueError, match="name one with --tokenizer"):
        import_checkpoint(source, tmp_path / "imported", TEMPLATES["vicuna_v1"])
    import_checkpoint(source, tmp_path / "imported", TEMPLATES["vicuna_v1"], tokenizer=str(tmp_path / "parts/llama"))
    assert torch.equal(logits(load_model(tmp_path / "imported", torch.float32)), logits(model))


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"architectures": ["LlavaMptForCausalLM"]}, "no language model is known for LlavaMptForCausalLM"),
    ({"mm_projector_type": "mlp3x_gelu"}, "no projector 'mlp3x_gelu' is known"),
    ({"mm_use_im_start_end": True}, "not supported"),
    ({"image_aspect_ratio": "anyres"}, "use llava-hf's version"),
])  # fmt: skip
def test_variants_that_are_not_here_are_named(tmp_path, changes, sentence):
    source, _ = publish(tmp_path, **changes)
    with pytest.raises(ValueError, match=sentence):
        import_checkpoint(source, tmp_path / "imported", TEMPLATES["vicuna_v1"])
    assert not (tmp_path / "imported").exists()


def test_what_is_no_such_checkpoint_is_refused_in_a_sentence(tmp_path):
    save_language_model(tmp_path / "language", "llama")
    for source, sentence in (
        ("language", "names no mm_vision_tower"),
        ("nothing-here", "no folder and no name on the hub"),
    ):
        result = CliRunner().invoke(app, ["import", str(tmp_path / source), str(tmp_path / "imported")])
        assert result.exit_code == 2
        assert sentence in result.stderr


def test_a_shard_that_is_not_there_is_named(tmp_path):
    source, _ = publish(tmp_path, shards=2)
    (source / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(ValueError, match=r"pytorch_model-00002-of-00002\.bin: download the whole checkpoint"):
        import_checkpoint(source, tmp_path / "imported", TEMPLATES["vicuna_v1"])


def test_pickled_code_is_not_run(tmp_path):
    source, _ = publish(tmp_path)
    torch.save({"model.embed_tokens.weight": Attack(tmp_path / "ran")}, source / "pytorch_model-00001-of-00001.bin")
    with pytest.raises(UnpicklingError):
        import_checkpoint(source, tmp_path / "imported", TEMPLATES["vicuna_v1"])
    assert not (tmp_path / "ran").exists()


def test_a_projector_of_another_size_is_refused(tmp_path):
    source, _ = publish(tmp_path, "llama", "linear", mm_projector_type="mlp2x_gelu")
    with pytest.raises(ValueError, match="linear_1"):
        import_checkpoint(source, tmp_path / "imported", TEMPLATES["vicuna_v1"])


def test_what_is_there_already_stays(tmp_path):
    source, _ = publish(tmp_path)
    (tmp_path / "imported").mkdir()
    with pytest.raises(ValueError, match="is there already"):
        import_checkpoint(source, tmp_path / "imported", TEMPLATES["vicuna_v1"])

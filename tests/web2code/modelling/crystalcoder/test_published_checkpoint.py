"""Checkpoints as CrystalCoder is published, pickled and in shards, read without being rewritten."""

import json
from pickle import UnpicklingError

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.core_model_loading import revert_weight_conversion

from tests.web2code.modelling.checkpoints import Attack, save_vision_tower
from tests.web2code.modelling.crystalcoder.small import PUBLISHED, build, tokens
from web2code.config import PretrainedModelConfig
from web2code.modelling.llava import assemble
from web2code.modelling.tokenizer import train_tokenizer

REMOTE_CODE = {
    "AutoConfig": "configuration_crystalcoder.CrystalCoderConfig",
    "AutoModelForCausalLM": "modeling_crystalcoder.CrystalCoderLMHeadModel",
}
in_files = pytest.mark.parametrize("shards", [1, 3])


def publish(folder, config, weights, shards):
    """Pickled shards with an index, mask buffers beside the weights, and the names of Python files."""
    buffers = {"bias": torch.ones(1, 1, 64, 64, dtype=torch.bool), "masked_bias": torch.tensor(-1e4)}
    masks = {f"transformer.h.{n}.attn.{name}": value for n in range(2) for name, value in buffers.items()}
    weights, names = weights | masks, sorted(weights | masks)
    files = [f"pytorch_model-{n + 1:05}-of-{shards:05}.bin" for n in range(shards)]
    if shards == 1:
        files = ["pytorch_model.bin"]
    else:
        index = {"metadata": {}, "weight_map": {name: files[n % shards] for n, name in enumerate(names)}}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    for number, file in enumerate(files):
        torch.save({name: weights[name] for name in names[number::shards]}, folder / file)
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": REMOTE_CODE}))
    return str(folder)


def publish_model(folder, model, shards):
    """A model of ours under the published names, its tied output layer a second time."""
    config = {name: value for name, value in model.config.to_dict().items() if name != "dtype"}
    return publish(folder, config, revert_weight_conversion(model, model.state_dict()), shards)


@in_files
@pytest.mark.parametrize("tied", [True, False])
def test_a_published_checkpoint_is_read_as_it_lies(tmp_path, shards, tied):
    model = build(tie_word_embeddings=tied).float()
    folder = publish_model(tmp_path, model, shards)
    read, loading = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert type(read) is type(model)
    assert not loading["missing_keys"] | loading["unexpected_keys"]
    with torch.no_grad():
        assert torch.equal(read(input_ids=tokens(2, 9)).logits, model(input_ids=tokens(2, 9)).logits)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="CrystalCoder's published files are not beside this checkout")
@in_files
def test_logits_equal_those_of_the_published_code(tmp_path, shards):
    parity = PUBLISHED / "tiny_parity"
    config, expected = json.loads((parity / "config.json").read_text()), load_file(parity / "expected.safetensors")
    folder = publish(tmp_path, config, load_file(parity / "model.safetensors"), shards)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    with torch.no_grad():
        logits = model(input_ids=expected["input_ids"]).logits
    torch.testing.assert_close(logits, expected["logits"], rtol=0, atol=1e-12)


@in_files
def test_a_published_checkpoint_is_assembled(tmp_path, shards):
    (tmp_path / "language").mkdir()
    tokenizer = train_tokenizer(["<p>a page</p>"] * 4, 300, 64)
    model = build(vocab_size=len(tokenizer)).float()
    language = publish_model(tmp_path / "language", model, shards)
    tokenizer.save_pretrained(language)
    tower = save_vision_tower(tmp_path / "tower", "clip_vision_model")
    parts = PretrainedModelConfig(language_model=language, vision_tower=tower, projector="linear", max_length=64)
    llava = assemble(parts, torch.float32, seed=0).model.eval()
    with torch.no_grad():
        logits = llava(input_ids=tokens(2, 9)).logits[..., : len(tokenizer)]
        torch.testing.assert_close(logits, model(input_ids=tokens(2, 9)).logits, rtol=0, atol=1e-5)


def test_pickled_code_is_not_run(tmp_path):
    folder = publish_model(tmp_path, build(), 1)
    torch.save({"transformer.wte.weight": Attack(tmp_path / "ran")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UnpicklingError):
        AutoModelForCausalLM.from_pretrained(folder)
    assert not (tmp_path / "ran").exists()

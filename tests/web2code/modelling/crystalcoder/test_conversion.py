import json
from pickle import UnpicklingError

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.core_model_loading import revert_weight_conversion

from tests.web2code.modelling.crystalcoder.small import build, tokens
from web2code.modelling.crystalcoder.conversion import convert_checkpoint
from web2code.modelling.tokenizer import train_tokenizer

REMOTE_CODE = {"AutoConfig": "configuration_crystalcoder.CrystalCoderConfig"}


def publish(folder, model, shards):
    """Write the model as CrystalCoder is published: pickled shards with an index, mask buffers, a tied head."""
    weights = revert_weight_conversion(model, model.state_dict())
    for layer in range(model.config.n_layer):
        weights[f"transformer.h.{layer}.attn.bias"] = torch.ones(1, 1, 64, 64, dtype=torch.bool)
        weights[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    names, files = list(weights), [f"pytorch_model-{n + 1:05}-of-{shards:05}.bin" for n in range(shards)]
    if shards == 1:
        files = ["pytorch_model.bin"]
    for number, file in enumerate(files):
        torch.save({name: weights[name] for name in names[number::shards]}, folder / file)
    if shards > 1:
        weight_map = {name: files[position % shards] for position, name in enumerate(names)}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    train_tokenizer(["<p>a page</p>"] * 4, 300, 64).save_pretrained(folder)
    for file, extra in (("config.json", REMOTE_CODE), ("tokenizer_config.json", {"AutoTokenizer": [None, "x.Fast"]})):
        path = folder / file
        content = json.loads(path.read_text()) if path.exists() else model.config.to_dict()
        content.pop("dtype", None)
        path.write_text(json.dumps(content | {"auto_map": extra}))


@pytest.mark.parametrize("shards", [1, 3])
def test_converted_checkpoint_is_the_published_model(tmp_path, shards):
    source, out = tmp_path / "published", tmp_path / "converted"
    source.mkdir()
    model = build().float()
    publish(source, model, shards)
    convert_checkpoint(source, out)
    loaded, loading = AutoModelForCausalLM.from_pretrained(out, use_safetensors=True, output_loading_info=True)
    assert not loading["missing_keys"] | loading["unexpected_keys"]
    ids = tokens(2, 9)
    with torch.no_grad():
        assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)
    assert AutoTokenizer.from_pretrained(out).encode("<p>a page") == AutoTokenizer.from_pretrained(source).encode(
        "<p>a page"
    )
    assert {path.suffix for path in out.iterdir()} == {".safetensors", ".json"}
    assert not any("auto_map" in path.read_text() for path in out.glob("*.json"))
    assert not hasattr(AutoConfig.from_pretrained(out), "auto_map")


def test_weights_are_written_once_under_their_published_names(tmp_path):
    source, out = tmp_path / "published", tmp_path / "converted"
    source.mkdir()
    publish(source, build(), 2)
    convert_checkpoint(source, out)
    index = json.loads((out / "model.safetensors.index.json").read_text())
    written = {}
    for file in out.glob("*.safetensors"):
        written |= {name: (file.name, weight.nbytes) for name, weight in load_file(file).items()}
    assert {name: file for name, (file, _) in written.items()} == index["weight_map"]
    assert sum(size for _, size in written.values()) == index["metadata"]["total_size"]
    published = json.loads((source / "pytorch_model.bin.index.json").read_text())["weight_map"]
    left_out = {name for name in published if name.endswith((".attn.bias", ".attn.masked_bias"))} | {"lm_head.weight"}
    assert written.keys() == published.keys() - left_out


def test_untied_output_layer_is_kept(tmp_path):
    source, out = tmp_path / "published", tmp_path / "converted"
    source.mkdir()
    model = build(tie_word_embeddings=False)
    publish(source, model, 2)
    convert_checkpoint(source, out)
    assert torch.equal(AutoModelForCausalLM.from_pretrained(out).lm_head.weight, model.lm_head.weight)


def test_missing_shard_is_named(tmp_path):
    publish(tmp_path, build(), 2)
    (tmp_path / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(ValueError, match=r"pytorch_model-00002-of-00002\.bin"):
        convert_checkpoint(tmp_path, tmp_path / "converted")


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return type(self.path).touch, (self.path,)


def test_pickled_code_is_not_run(tmp_path):
    publish(tmp_path, build(), 1)
    torch.save({"transformer.wte.weight": Attack(tmp_path / "ran")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UnpicklingError):
        convert_checkpoint(tmp_path, tmp_path / "converted")
    assert not (tmp_path / "ran").exists()

import json

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer
from transformers.core_model_loading import revert_weight_conversion

from tests.web2code.modelling.crystalcoder.small import CONFIG, PUBLISHED, build, tokens
from web2code.modelling.crystalcoder import CrystalCoderConfig, CrystalCoderForCausalLM

needs_published = pytest.mark.skipif(
    not PUBLISHED.exists(), reason="CrystalCoder's published files are not beside this checkout"
)
attentions = pytest.mark.parametrize("attention", ["eager", "sdpa"])
exactly = {"rtol": 0, "atol": 0}
closely = {"rtol": 0, "atol": 1e-8}  # angles are in float32


@needs_published
@attentions
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_logits_equal_those_of_the_published_code(attention, dtype, tolerance):
    folder = PUBLISHED / "tiny_parity"
    model, loading = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation=attention, output_loading_info=True
    )
    expected = load_file(folder / "expected.safetensors")
    ids, mask = expected["input_ids"], expected["attention_mask"]
    with torch.no_grad():
        logits = {
            "logits": model(input_ids=ids).logits,
            "logits_from_embeds": model(inputs_embeds=expected["inputs_embeds"].to(dtype)).logits,
            "logits_with_mask": model(input_ids=ids, attention_mask=mask).logits,
        }
    for name, value in logits.items():
        torch.testing.assert_close(value.double(), expected[name], rtol=0, atol=tolerance)
    assert not loading["unexpected_keys"]
    # The reference was computed with zeros in the only weights that its checkpoint leaves out.
    assert all(name.endswith("c_attn.bias") for name in loading["missing_keys"])


@needs_published
def test_real_size_model_has_exactly_the_published_weights():
    index = json.loads((PUBLISHED / "pytorch_model.bin.index.json").read_text())
    config = AutoConfig.from_pretrained(PUBLISHED)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    weights = revert_weight_conversion(model, model.state_dict())
    buffers = {f"transformer.h.{n}.attn.{name}" for n in range(config.n_layer) for name in ("bias", "masked_bias")}
    assert set(weights) | buffers == set(index["weight_map"])
    # A boolean mask of all positions and one float32 a layer; the tied output layer was written too.
    buffer_size = config.n_layer * (config.n_positions**2 + 4)
    assert sum(weight.numel() * 4 for weight in weights.values()) + buffer_size == index["metadata"]["total_size"]
    assert model.num_parameters() == 6_575_278_720
    assert model.lm_head.weight is model.transformer.embed_tokens.weight


@needs_published
def test_defaults_are_the_published_configuration():
    published, config = json.loads((PUBLISHED / "config.json").read_text()), CrystalCoderConfig()
    shape = {name: value for name, value in published.items() if name not in ("auto_map", "architectures")}
    assert {name: getattr(config, name) for name in shape} == shape
    assert (config.hidden_size, config.num_hidden_layers, config.max_position_embeddings) == (4096, 32, 2048)


@needs_published
def test_published_tokenizer_loads_without_its_own_code():
    tokenizer = AutoTokenizer.from_pretrained(PUBLISHED)
    assert tokenizer("<s><|im_start|>hi<|im_end|>").input_ids == [1, 32018, 7251, 32019]


def written_out(model, ids):
    """The published formulas for one sequence, with each rotated pair as a complex number."""
    config, weights = model.config, dict(model.transformer.named_parameters())
    frequencies = 10000 ** (-torch.arange(0, config.rotary_dim, 2).double() / config.rotary_dim)
    turns = torch.polar(torch.ones(()).double(), torch.arange(len(ids))[:, None, None] * frequencies)

    def linear(x, name):
        return x @ weights[name + ".weight"] + weights[name + ".bias"]

    def norm(x, name):
        return functional.layer_norm(x, x.shape[-1:], weights[name + ".weight"], weights[name + ".bias"])

    def rotate(x):
        pairs = torch.view_as_complex(x[..., : config.rotary_dim].unflatten(-1, (-1, 2)).contiguous())
        return torch.cat([torch.view_as_real(pairs * turns).flatten(-2), x[..., config.rotary_dim :]], dim=-1)

    x = weights["embed_tokens.weight"][ids] * 14.6
    for n in range(config.n_layer):
        fused = linear(norm(x, f"h.{n}.ln_1"), f"h.{n}.attn.c_attn")
        query, key, value = fused.unflatten(-1, (3, config.n_head, -1)).unbind(1)
        scores = torch.einsum("qhd,khd->hqk", rotate(query), rotate(key)) / (config.n_embd / config.n_head)
        shares = (scores + torch.full_like(scores, -torch.inf).triu(1)).softmax(-1)
        x = x + linear(torch.einsum("hqk,khd->qhd", shares, value).flatten(1), f"h.{n}.attn.c_proj")
        y = norm(x, f"h.{n}.ln_2")
        gated = linear(y, f"h.{n}.mlp.c_fc") * functional.silu(linear(y, f"h.{n}.mlp.c_fc2"))
        x = x + linear(gated, f"h.{n}.mlp.c_proj")
    return norm(x, "ln_f") @ weights["embed_tokens.weight"].T * 2.22 * 0.0625


@attentions
def test_logits_equal_the_formulas_written_out(attention):
    model, ids = build(attention), tokens(1, 40)
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=ids).logits[0], written_out(model, ids[0]), **closely)


@attentions
def test_left_padding_changes_no_logits(attention):
    model, ids = build(attention), tokens(1, 9)
    padded = torch.cat([torch.zeros(1, 4, dtype=torch.long), ids], dim=1)
    mask = (torch.arange(13) >= 4).long()[None]
    positions = (mask.cumsum(1) - 1).clamp(0)
    with torch.no_grad():
        alone = model(input_ids=ids).logits
        beside_padding = model(input_ids=padded, attention_mask=mask).logits[:, 4:]
        numbered = model(input_ids=padded, attention_mask=mask, position_ids=positions).logits[:, 4:]
    torch.testing.assert_close(beside_padding, alone, **closely)
    torch.testing.assert_close(numbered, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_greedy_generation_equals_recomputing_every_token(cache):
    model, prompt = build(eos_token_id=None), tokens(2, 5)
    answer = model.generate(
        prompt, max_new_tokens=8, do_sample=False, cache_implementation=cache, disable_compile=True, pad_token_id=0
    )
    recomputed = prompt
    with torch.no_grad():
        for _ in range(8):
            following = model(input_ids=recomputed, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)
            recomputed = torch.cat([recomputed, following], dim=1)
    assert torch.equal(answer, recomputed)
    assert len(set(answer[0, 5:].tolist())) > 2


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_left_padded_prompts_are_answered_as_alone(cache):
    model, prompts = build(eos_token_id=None), [tokens(1, 5), tokens(1, 8)]
    options = {"max_new_tokens": 6, "do_sample": False, "disable_compile": True, "pad_token_id": 0}
    alone = [model.generate(prompt, **options)[:, prompt.shape[1] :] for prompt in prompts]
    ids = torch.cat([functional.pad(prompt, (8 - prompt.shape[1], 0)) for prompt in prompts])
    batch = model.generate(ids, attention_mask=(ids > 0).long(), cache_implementation=cache, **options)
    assert torch.equal(batch[:, 8:], torch.cat(alone))


@attentions
def test_packed_samples_equal_separate_ones_and_do_not_see_each_other(attention):
    model, first, second = build(attention), tokens(1, 7), tokens(1, 12)[:, 7:]
    positions = torch.cat([torch.arange(7), torch.arange(5)])[None]
    with torch.no_grad():
        packed = model(input_ids=torch.cat([first, second], dim=1), position_ids=positions, use_cache=False).logits
        changed = model(
            input_ids=torch.cat([first.flip(1), second], dim=1), position_ids=positions, use_cache=False
        ).logits
        separate = torch.cat([model(input_ids=first).logits, model(input_ids=second).logits], dim=1)
    torch.testing.assert_close(packed, separate, **closely)
    torch.testing.assert_close(changed[:, 7:], packed[:, 7:], **exactly)
    assert not torch.allclose(changed[:, :7], packed[:, :7], atol=1e-3)


def test_looked_up_and_passed_embeddings_give_the_same_logits():
    model, ids = build(), tokens(2, 6)
    with torch.no_grad():
        whole = model(input_ids=ids).logits
        passed = model(inputs_embeds=model.get_input_embeddings()(ids)).logits
        last = model(input_ids=ids, logits_to_keep=2).logits
    torch.testing.assert_close(passed, whole, **exactly)
    torch.testing.assert_close(last, whole[:, -2:], **closely)


def test_checkpoint_round_trips_under_the_published_names(tmp_path):
    model = build()
    model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as saved:
        names = set(saved.keys())
    assert {"transformer.wte.weight", "transformer.h.1.attn.c_attn.bias"} <= names
    assert not any("embed_tokens" in name or "lm_head" in name for name in names)
    for auto, source in ((AutoModelForCausalLM, model), (AutoModel, model.transformer)):
        loaded, loading = auto.from_pretrained(tmp_path, output_loading_info=True)
        assert type(loaded) is type(source)
        assert not loading["missing_keys"] | loading["unexpected_keys"]
        expected = source.state_dict()
        assert loaded.state_dict().keys() == expected.keys()
        assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())


def test_published_mask_buffers_are_ignored_and_biases_are_not(tmp_path):
    model = build()
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    buffers = {f"transformer.h.{n}.attn.{name}": torch.ones(1) for n in range(2) for name in ("bias", "masked_bias")}
    save_file(weights | buffers, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded, loading = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"] | loading["unexpected_keys"]
    assert torch.equal(loaded.transformer.h[1].attn.c_attn.bias, model.transformer.h[1].attn.c_attn.bias)


def test_gradient_checkpointing_gives_the_same_gradients():
    ids, gradients = tokens(2, 9), []
    for checkpointing in (False, True):
        model = build().train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        model(input_ids=ids, labels=ids).loss.backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        assert gradient.abs().sum() > 0, name
        torch.testing.assert_close(gradients[1][name], gradient, **exactly)


def test_resizing_the_vocabulary_keeps_the_logits_and_the_tie():
    model, ids = build(), tokens(1, 6)
    with torch.no_grad():
        before = model(input_ids=ids).logits
        model.resize_token_embeddings(80)
        after = model(input_ids=ids).logits
    assert after.shape[-1] == 80
    torch.testing.assert_close(after[..., :64], before, **closely)
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_initial_weights_have_the_spread_of_mup():
    torch.manual_seed(0)
    config = CrystalCoderConfig(**CONFIG | {"vocab_size": 2000, "n_embd": 128, "n_inner": 200})
    model = CrystalCoderForCausalLM(config)
    # The values of the pre-training run are 0.073, 0.01825 and, with 32 layers, 0.00228125.
    block = model.transformer.h[1]
    expected = [
        (model.transformer.embed_tokens.weight, 0.073),
        (block.attn.c_attn.weight, 0.01825),
        (block.mlp.c_fc.weight, 0.01825),
        (block.mlp.c_fc2.weight, 0.01825),
        (block.attn.c_proj.weight, 0.01825 / 2),
        (block.mlp.c_proj.weight, 0.01825 / 2),
    ]
    for weight, std in expected:
        assert weight.std().item() == pytest.approx(std, rel=0.03)
    for name, parameter in model.named_parameters():
        if ".ln_" in name or name.endswith("bias"):
            assert (parameter == float(name.endswith("weight"))).all()


def test_casting_the_model_rounds_no_rotation():
    ids = tokens(1, 60)
    cast, rounded = build().bfloat16().float(), build().float()
    with torch.no_grad():
        for parameter in rounded.parameters():
            parameter.copy_(parameter.bfloat16())
        torch.testing.assert_close(cast(input_ids=ids).logits, rounded(input_ids=ids).logits, **exactly)


@pytest.mark.parametrize(
    "change",
    [{"attn_pdrop": 0.1}, {"activation_function": "gelu"}, {"position_embedding_type": "alibi"}, {"n_head": 5}],
)
def test_what_the_code_does_not_compute_is_refused(change):
    with pytest.raises(StrictDataclassError, match=next(iter(change))):
        CrystalCoderConfig(**CONFIG | change)

"""CrystalCoder in vLLM: the language model alone, beside what the published code computes, and within LLaVA."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.web2code.modelling.crystalcoder.small import PUBLISHED, randomise, with_wider_heads
from tests.web2code.modelling.test_export import assembled, screenshot
from tests.web2code.test_vllm import ENVIRONMENT, PYTHON, compare, serving
from web2code.modelling.base import save_checkpoint
from web2code.modelling.llava import load_model
from web2code.modelling.templates import TEMPLATES

ROOT = Path(__file__).parents[4]
CONTEXT = 512  # tokens


@pytest.fixture(scope="module")
def published():
    """The published code's inputs and logits, and the model that gave them."""
    if not PUBLISHED.exists():
        pytest.skip("CrystalCoder's published files are not beside this checkout")
    model = AutoModelForCausalLM.from_pretrained(PUBLISHED / "tiny_parity", dtype=torch.float32)
    return load_file(PUBLISHED / "tiny_parity" / "expected.safetensors"), model


def test_wider_heads_compute_the_same(published):
    expected, model = published
    logits = with_wider_heads(model.double(), 4)(input_ids=expected["input_ids"]).logits
    torch.testing.assert_close(logits, expected["logits"], rtol=0, atol=1e-8)


def test_vllm_on_two_devices_computes_what_the_published_code_does(published, tmp_path):
    if not PYTHON.exists():
        pytest.skip("vLLM is not installed: make vllm")
    expected, model = published
    with_wider_heads(model.float(), 4).save_pretrained(tmp_path / "model")
    prompts, out = tmp_path / "prompts.json", tmp_path / "out.json"
    prompts.write_text(json.dumps(expected["input_ids"].tolist()))
    subprocess.run(
        [PYTHON, "-m", "tests.web2code.modelling.crystalcoder.vllm_worker", tmp_path / "model", prompts, out, "2"],
        cwd=ROOT, check=True, timeout=600, env=os.environ | ENVIRONMENT,
    )  # fmt: skip
    answers = json.loads(out.read_text())
    logprobs = torch.tensor([answer["logprobs"] for answer in answers], dtype=torch.float64)
    torch.testing.assert_close(logprobs, expected["logits"][:, :-1].log_softmax(-1), rtol=0, atol=1e-4)
    greedy = model.generate(expected["input_ids"], max_new_tokens=8, do_sample=False, eos_token_id=None, pad_token_id=0)
    assert [answer["answer"] for answer in answers] == greedy[:, expected["input_ids"].shape[1] :].tolist()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """CrystalCoder behind a linear projector; every parameter matters, and an image token is never written."""
    folder = tmp_path_factory.mktemp("served")
    checkpoint = assembled(folder, "crystalcoder", projector="linear", max_length=CONTEXT)
    model, tokenizer = randomise(load_model(checkpoint, torch.float32)), AutoTokenizer.from_pretrained(checkpoint)
    with torch.no_grad():
        model.get_input_embeddings().weight[model.config.image_token_id :] = 0
    save_checkpoint(checkpoint, model, tokenizer, TEMPLATES["vicuna_v1"])
    with serving(folder, checkpoint, CONTEXT) as served:
        yield served


@pytest.mark.parametrize("picture", [None, screenshot(28, 28)], ids=["text", "picture"])
def test_vllm_answers_as_the_trained_model_does(server, picture):
    compare(server, picture, side=28, apart=1e-4)

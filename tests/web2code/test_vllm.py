"""What is exported, the endpoint's writer and the judge, with a real vLLM, in the environment of `make vllm`."""

import base64
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openai
import pytest
import torch
from transformers import AutoTokenizer

from tests.web2code.modelling.checkpoints import save_llava
from tests.web2code.modelling.test_export import QUESTION, screenshot
from web2code.config import Endpoint, WriterConfig
from web2code.data.builders.dwcg import code_pair
from web2code.data.sample import Rejected
from web2code.data.writers.endpoint import EndpointWriter
from web2code.endpoint import TRIES, Client, EndpointError
from web2code.evaluation.judges.wcgb import NAMES, Page, WcgbJudge
from web2code.modelling.export import export_checkpoint
from web2code.modelling.generation import Generator
from web2code.modelling.images import normalise, square_pixels
from web2code.modelling.prompts import answer_text, conversation_prompt, question_about, stop_ids
from web2code.modelling.templates import TEMPLATES
from web2code.services import HOST, free_ports, start_service, stop_service, wait_until_up

PYTHON = Path(sys.prefix) / "vllm" / "bin" / "python"
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}
PRICES = {"input_price": 1.0, "output_price": 2.0}
CONTEXT = 4096  # tokens; the judge is asked at some length
TEMPLATE = TEMPLATES["mpt"]  # with a system text, and a stop token besides the end of sequence


@dataclass(frozen=True)
class Served:
    """A model behind an OpenAI-compatible endpoint, and the checkpoint that it was exported from."""

    url: str
    model: str
    checkpoint: Path


@contextmanager
def serving(folder, checkpoint, context):
    """vLLM with what a checkpoint is exported to."""
    if not PYTHON.exists():
        pytest.skip("vLLM is not installed: make vllm")
    port = free_ports(1)[0]
    export_checkpoint(checkpoint, folder / "small")
    options = {
        "--model": str(folder / "small"), "--served-model-name": "small", "--host": HOST, "--port": str(port),
        "--dtype": "float32", "--max-model-len": str(context), "--max-num-seqs": "8",
    }  # fmt: skip
    command = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager"]
    command += [part for option in options.items() for part in option]
    service = start_service(folder, "vllm", command, f"http://{HOST}:{port}", {"server": port}, ENVIRONMENT)
    try:
        with pytest.MonkeyPatch.context() as patient:
            patient.setattr("web2code.services.START_SECONDS", 300.0)
            wait_until_up(folder, service, "/health")
        yield Served(f"{service.url}/v1", "small", checkpoint)
    finally:
        stop_service(folder, "vllm")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A small LLaVA of random weights."""
    folder = tmp_path_factory.mktemp("served")
    with serving(folder, save_llava(folder / "checkpoint", TEMPLATE, CONTEXT), CONTEXT) as served:
        yield served


def ask(server, picture=None, **options):
    """The question about a picture, or about none, put to a server."""
    content = [{"type": "text", "text": QUESTION}]
    if picture:
        url = "data:image/png;base64," + base64.b64encode(picture).decode()
        content.insert(0, {"type": "image_url", "image_url": {"url": url}})
    return openai.OpenAI(base_url=server.url, api_key="none").chat.completions.create(
        model=server.model, messages=[{"role": "user", "content": content}], temperature=0, max_tokens=24,
        extra_body={"return_token_ids": True, "prompt_logprobs": 0}, **options,
    )  # fmt: skip


def compare(server, picture, side, apart):
    """Hold an answer to the checkpoint's own: prompt, text, and within `apart` the log-probabilities of both."""
    generator = Generator(server.checkpoint)
    answer = ask(server, picture, logprobs=True)
    pictures = [picture] if picture else []
    asked = question_about(QUESTION, len(pictures))
    prompt = conversation_prompt(generator.tokenizer, generator.template, asked, image_tokens=4)
    choice = answer.choices[0]
    assert answer.prompt_token_ids == prompt
    text = answer_text(generator.tokenizer, generator.template, choice.token_ids)
    assert text == generator.generate([pictures], [QUESTION], 24)[0]
    pixels = normalise(np.stack([square_pixels(picture, side)])) if picture else None
    with torch.inference_mode():
        logits = generator.model(input_ids=torch.tensor([prompt + choice.token_ids]), pixel_values=pixels).logits[0]
    expected = logits.log_softmax(-1)[:-1].gather(1, torch.tensor((prompt + choice.token_ids)[1:])[:, None])[:, 0]
    read = [entry[str(token)]["logprob"] for entry, token in zip(answer.prompt_logprobs, prompt, strict=True) if entry]
    written = [entry.logprob for entry in choice.logprobs.content]
    torch.testing.assert_close(torch.tensor(read + written), expected, rtol=0, atol=apart)


# vLLM resizes by torchvision, and training by PIL: a pixel is at most one level of 255 apart.
@pytest.mark.parametrize(("size", "apart"), [((32, 32), 1e-4), ((60, 100), 1e-2), ((130, 40), 1e-2)])
def test_vllm_answers_as_the_trained_model_does(server, size, apart):
    compare(server, screenshot(*size), 32, apart)


def test_vllm_stops_where_the_template_does(server):
    stop, *others = stop_ids(AutoTokenizer.from_pretrained(server.checkpoint), TEMPLATE)
    assert others
    for token in (stop, *others):
        answer = ask(server, screenshot(64, 64), logit_bias={str(token): 100})
        assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == ("stop", "")


def writer(server, cache, model=None, max_tokens=16):
    endpoint = Endpoint(url=server.url, concurrency=4, retries=0, **PRICES)
    return EndpointWriter(WriterConfig(model=model or server.model, max_tokens=max_tokens), endpoint, cache)


def test_nonsense_of_a_real_server_becomes_rows_with_a_reason_and_is_paid_for(server, tmp_path):
    asking = writer(server, tmp_path)
    keys = [f"dwcg/0/{number}" for number in range(4)]
    made = list(asking.ahead(keys, lambda key: code_pair(key, asking, seed=0)))
    assert all(isinstance(row, Rejected) for row in made)
    assert Counter(row.reason for row in made) == {"writer's reply cannot be read": len(keys)}
    meter, asked = asking.meter, len(keys) * TRIES
    assert meter.asked == asked
    tokenizer = AutoTokenizer.from_pretrained(server.checkpoint)
    nothing = tokenizer.apply_chat_template([{"role": "user", "content": ""}], return_dict=False)
    assert meter.input_tokens > asked * len(nothing)
    assert asked <= meter.output_tokens <= asked * 16
    assert meter.cost == pytest.approx((meter.input_tokens + 2 * meter.output_tokens) / 1e6)
    again = writer(server, tmp_path)
    assert list(again.ahead(keys, lambda key: code_pair(key, again, seed=0))) == made
    assert (again.meter.asked, again.meter.from_cache) == (0, asked)


def test_more_than_the_model_can_hold_is_a_row_with_a_reason(server, tmp_path):
    made = code_pair("x", writer(server, tmp_path, max_tokens=2 * CONTEXT), seed=0)
    assert made.reason == "writer refused the request (status 400)"


def test_a_model_that_is_not_served_ends_the_build_with_a_sentence(server, tmp_path):
    with pytest.raises(EndpointError, match="refuses nobody"):
        writer(server, tmp_path, model="nobody").page("x")


def judge(server, cache):
    endpoint = Endpoint(url=server.url, concurrency=2, retries=0, **PRICES)
    return WcgbJudge(Client("judge", endpoint, server.model, 1.0, 1024, cache, alike=True), repeats=2)


def test_a_real_server_holds_even_random_weights_to_the_judges_schema(server, tmp_path):
    pages = [Page(str(number), screenshot(60, 100), screenshot(130, 40 + number)) for number in range(2)]
    first = judge(server, tmp_path)
    verdicts = [first.judge(page) for page in pages]
    assert [(verdict.outcome, verdict.values["replies"]) for verdict in verdicts] == [("scored", 2.0)] * 2
    assert all(0 <= verdict.values[name] <= 10 for verdict in verdicts for name in NAMES)
    assert first.client.meter.cost > 0
    again = judge(server, tmp_path)
    assert [again.judge(page) for page in pages] == verdicts
    assert (again.client.meter.asked, again.client.meter.from_cache) == (0, first.client.meter.asked)

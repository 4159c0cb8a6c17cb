"""The endpoint's writer against a real vLLM whose model writes nonsense."""

from collections import Counter

import pytest
from transformers import AutoTokenizer

from web2code.config import Endpoint, WriterConfig
from web2code.data.builders.dwcg import code_pair
from web2code.data.sample import Rejected
from web2code.data.writers.endpoint import TRIES, EndpointError, EndpointWriter

PRICES = {"input_price": 1.0, "output_price": 2.0}


def writer(server, cache, model=None, max_tokens=16):
    endpoint = Endpoint(url=server.url, concurrency=4, retries=0, **PRICES)
    return EndpointWriter(WriterConfig(model=model or server.model, max_tokens=max_tokens), endpoint, cache)


def test_nonsense_of_a_real_server_becomes_rows_with_a_reason_and_is_paid_for(vllm_server, tmp_path):
    asking = writer(vllm_server, tmp_path)
    keys = [f"dwcg/0/{number}" for number in range(4)]
    made = list(asking.ahead(keys, lambda key: code_pair(key, asking, seed=0)))
    assert all(isinstance(row, Rejected) for row in made)
    assert Counter(row.reason for row in made) == {"writer's reply cannot be read": len(keys)}
    meter, asked = asking.meter, len(keys) * TRIES
    assert meter.asked == asked
    assert asked <= meter.output_tokens <= asked * 16
    assert meter.cost == pytest.approx((meter.input_tokens + 2 * meter.output_tokens) / 1e6)
    again = writer(vllm_server, tmp_path)
    assert list(again.ahead(keys, lambda key: code_pair(key, again, seed=0))) == made
    assert (again.meter.asked, again.meter.from_cache) == (0, asked)


def test_input_is_counted_as_the_chat_template_makes_it(vllm_server, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(vllm_server.checkpoint)
    asking = writer(vllm_server, tmp_path)
    asking._reply("key", "Write a page.", attempt=0)
    said = [{"role": "user", "content": "Write a page."}]
    prompt = tokenizer.apply_chat_template(said, add_generation_prompt=True, return_dict=False)
    assert asking.meter.input_tokens == len(prompt)


def test_more_than_the_model_can_hold_is_a_row_with_a_reason(vllm_server, tmp_path):
    made = code_pair("x", writer(vllm_server, tmp_path, max_tokens=4096), seed=0)
    assert made.reason == "writer refused the request"


def test_a_model_that_is_not_served_ends_the_build_with_a_sentence(vllm_server, tmp_path):
    with pytest.raises(EndpointError, match="refuses nobody"):
        writer(vllm_server, tmp_path, model="nobody").page("x")

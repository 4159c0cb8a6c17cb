"""The client of an endpoint, against a real server that misbehaves."""

import gzip
import io
import json
import time

import pytest
from PIL import Image

from tests.web2code.chat import HANG, completion
from web2code.config import Endpoint
from web2code.endpoint import DOWN_AFTER, Client, EndpointError, Question, Unanswered
from web2code.evaluation.engines.engine import Inbox, Request, generate
from web2code.evaluation.engines.openai import OpenAIEngine

SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"], "additionalProperties": False}


def client(url, cache, *, dry_run=False, alike=True, max_tokens=100, paid=None, **options) -> Client:
    endpoint = Endpoint(url=url, **{"timeout_seconds": 5, "retries": 2, "input_price": 1.0, **options})
    return Client("judge", endpoint, "m", 0.0, max_tokens, cache, dry_run, alike, paid)


def png(width=30, height=25):
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "PNG")
    return stream.getvalue()


def test_pictures_go_in_the_order_of_the_question(chat, tmp_path):
    first, second = png(), png(31)
    assert client(chat.url, tmp_path).ask("", Question(("Compare.", first, second), "Be exact."), str) == "Hello."
    system, user = chat.seen[0]["messages"]
    assert system == {"role": "system", "content": "Be exact."}
    assert [part["type"] for part in user["content"]] == ["text", "image_url", "image_url"]
    urls = [part["image_url"]["url"] for part in user["content"][1:]]
    assert all(url.startswith("data:image/png;base64,") for url in urls)
    assert urls[0] != urls[1]


def test_each_picture_system_text_schema_and_key_is_another_question(chat, tmp_path):
    asking = client(chat.url, tmp_path)
    base = Question(("a", png()))
    others = [Question(("a", png(31))), Question(("a", png()), "s"), Question(("a", png()), schema=SCHEMA)]
    for question in (base, *others, base):
        asking.ask("", question, str)
    asking.ask("again", base, str)
    assert (len(chat.seen), asking.meter.from_cache) == (5, 1)


def test_an_endpoint_that_knows_schemas_gets_one(chat, tmp_path):
    client(chat.url, tmp_path).ask("", Question(("a",), schema=SCHEMA), str)
    form = chat.seen[0]["response_format"]
    assert (form["type"], form["json_schema"]["strict"], form["json_schema"]["schema"]) == ("json_schema", True, SCHEMA)


@pytest.mark.parametrize("status", [400, 422])
def test_an_endpoint_that_knows_no_schemas_is_asked_without_from_then_on(chat, tmp_path, status):
    chat.reply = lambda body: status if "response_format" in body else "yes"
    asking = client(chat.url, tmp_path)
    assert [asking.ask(key, Question(("a",), schema=SCHEMA), str) for key in "abc"] == ["yes"] * 3
    assert ["response_format" in body for body in chat.seen] == [True, False, False, False]


def test_an_endpoint_that_hangs_is_asked_again_and_then_counted(chat, tmp_path):
    chat.script = [HANG]
    asking = client(chat.url, tmp_path, timeout_seconds=0.3, retries=1)
    assert asking.ask("", Question(("a",)), str) == "Hello."
    chat.reply = HANG
    start = time.monotonic()
    with pytest.raises(Unanswered, match="judge did not answer"):
        client(chat.url, tmp_path, timeout_seconds=0.3, retries=0).ask("", Question(("b",)), str)
    assert time.monotonic() - start < 2


def test_a_reply_that_is_not_whole_in_time_is_asked_for_again(chat, tmp_path):
    """As an endpoint sends blanks to keep a connection, so that no single part is late."""

    def dripping(body):
        for _ in range(50):
            yield b"\n"
            time.sleep(0.1)
        yield completion("late")

    chat.script = [dripping] * 3
    start = time.monotonic()
    with pytest.raises(Unanswered, match="judge did not answer"):
        client(chat.url, tmp_path, timeout_seconds=0.3, retries=0).ask("", Question(("a",)), str)
    assert client(chat.url, tmp_path, timeout_seconds=0.3, retries=2).ask("", Question(("a",)), str) == "Hello."
    assert time.monotonic() - start < 4


def test_a_reply_that_is_too_large_is_not_read_to_its_end(chat, tmp_path):
    sent = []

    def blanks(body):
        for _ in range(200):
            sent.append(1_000_000)
            yield b" " * 1_000_000
        yield completion("Hello.")

    chat.reply = blanks
    with pytest.raises(Unanswered, match="judge did not answer"):
        client(chat.url, tmp_path, timeout_seconds=20, retries=0).ask("", Question(("a",)), str)
    assert sum(sent) < 50_000_000


def test_replies_in_parts_or_compressed_are_read(chat, tmp_path):
    chat.script = [iter([b"\n" * 8, completion("parts"), b"\n"]), gzip.compress(completion("gzip"))]
    asking = client(chat.url, tmp_path, retries=0)
    assert [asking.ask(key, Question(("a",)), str) for key in "ab"] == ["parts", "gzip"]


GATEWAYS_ERRORS = [
    {"error": {"code": 429, "message": "Rate limit exceeded"}, "choices": None},
    {"error": "the model is loading"},
    {"choices": [{"error": {"code": "502", "message": "upstream"}, "message": {"content": "half"}}]},
    {"choices": [{"index": 0, "finish_reason": "error"}]},
]


@pytest.mark.parametrize("answer", GATEWAYS_ERRORS)
def test_an_error_with_the_status_of_a_success_is_asked_again_and_never_kept(chat, tmp_path, answer):
    chat.script = [json.dumps(answer).encode()] * 3
    with pytest.raises(Unanswered, match="judge did not answer"):
        client(chat.url, tmp_path, retries=1).ask("", Question(("a",)), str)
    assert client(chat.url, tmp_path, retries=1).ask("", Question(("a",)), str) == "Hello."
    assert len(chat.seen) == 4


def test_errors_with_the_status_of_a_success_end_the_work_as_others_do(chat, tmp_path):
    chat.reply = b"<html>Sign in</html>"
    asking = client(chat.url, tmp_path, retries=0)
    for number in range(DOWN_AFTER - 1):
        with pytest.raises(Unanswered):
            asking.ask(str(number), Question(("a",)), str)
    with pytest.raises(EndpointError, match=r"did not answer 8 requests in a row \(.*the reply is no JSON\)"):
        asking.ask("last", Question(("a",)), str)
    chat.reply = b'{"error": {"code": 402, "message": "Insufficient credits"}}'
    with pytest.raises(EndpointError, match=r"refuses m: .*402 - Insufficient credits"):
        client(chat.url, tmp_path).ask("", Question(("a",)), str)


def test_an_endpoint_that_ended_the_work_is_asked_nothing_more(chat, tmp_path):
    chat.script = [401]
    asking = client(chat.url, tmp_path)
    for _ in range(2):
        with pytest.raises(EndpointError, match="refuses m"):
            asking.ask("", Question(("a",)), str)
    assert len(chat.seen) == 1


def test_an_engine_whose_endpoint_refuses_it_stops_asking(chat, tmp_path):
    chat.reply = 401
    inbox = Inbox()
    inbox.put([Request(str(number), (), f"word {number}", 10) for number in range(256)])
    inbox.close()
    with pytest.raises(EndpointError, match="refuses m"):
        list(OpenAIEngine(Endpoint(url=chat.url, retries=0), "m", tmp_path).stream(inbox))
    assert len(chat.seen) < 20


def test_an_engine_does_not_wait_for_what_hangs_when_its_endpoint_refuses_it(chat, tmp_path):
    chat.script = [HANG] * 4
    chat.reply = 401
    inbox = Inbox()
    inbox.put([Request(str(number), (), f"word {number}", 10) for number in range(20)])
    inbox.close()
    start = time.monotonic()
    with pytest.raises(EndpointError, match="refuses m"):
        list(OpenAIEngine(Endpoint(url=chat.url, timeout_seconds=5, retries=0), "m", tmp_path).stream(inbox))
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("left", ["", '{"reply": "Hel', "\0\0\0\0", "[]", '{"not_taken": []}'])
def test_a_reply_that_was_kept_in_part_is_asked_for_again(chat, tmp_path, left):
    client(chat.url, tmp_path).ask("", Question(("a",)), str)
    [kept] = tmp_path.iterdir()
    kept.write_text(left)
    assert client(chat.url, tmp_path).ask("", Question(("a",)), str) == "Hello."
    assert client(chat.url, tmp_path).ask("", Question(("a",)), str) == "Hello."
    assert len(chat.seen) == 2


def test_halves_of_surrogate_pairs_are_replaced_where_they_are_sent(chat, tmp_path):
    asking = client(chat.url, tmp_path)
    for question in (Question(("cut \ud83d off",)), Question(("a", "cut \ud83d off"), "be \udc00 exact")):
        assert asking.ask("", question, str) == "Hello."
    plain, (system, user) = (body["messages"] for body in chat.seen)
    assert plain[0]["content"] == user["content"][1]["text"] == "cut \ufffd off"
    assert system["content"] == "be \ufffd exact"


@pytest.mark.parametrize("body", [
    b"[]", b"7", b"null", b"{}", b'{"choices": []}', b'{"choices": "x"}', b'{"choices": [7]}', b'{"choices": [{}]}',
    b'{"choices": [{"message": {"content": ["a"]}}], "usage": {"prompt_tokens": "many"}}',
    b'{"choices": [{"message": {"content": null}}], "usage": 3}',
])  # fmt: skip
def test_an_answer_of_another_form_is_none(chat, tmp_path, body):
    chat.reply = body
    asking = client(chat.url, tmp_path, retries=0)
    with pytest.raises(Unanswered):
        asking.ask("", Question(("a",)), json.loads)
    assert asking.meter.input_tokens == 0


def test_one_refused_question_is_counted_and_refusing_all_ends_the_work(chat, tmp_path):
    chat.script = [400, "yes", *[400] * 8]
    asking = client(chat.url, tmp_path)
    with pytest.raises(Unanswered, match="judge refused the request"):
        asking.ask("0", Question(("a",)), str)
    assert asking.ask("1", Question(("a",)), str) == "yes"
    for number in range(7):
        with pytest.raises(Unanswered, match="judge refused the request"):
            asking.ask(f"refused {number}", Question(("a",)), str)
    with pytest.raises(EndpointError, match=r"refused 8 requests in a row \(.*as told.*\): see what m takes"):
        asking.ask("last", Question(("a",)), str)


@pytest.mark.parametrize("status", [400, 413, 422, 431])
def test_questions_that_differ_in_length_may_all_be_refused(chat, tmp_path, status):
    chat.reply = status
    asking = client(chat.url, tmp_path, alike=False)
    for number in range(10):
        with pytest.raises(Unanswered, match=rf"judge refused the request \(status {status}\)"):
            asking.ask(str(number), Question(("a",)), str)


def test_refusals_of_one_kind_of_question_end_the_work_whatever_becomes_of_others(chat, tmp_path):
    chat.reply = lambda body: 400 if "pictures" in body["messages"][0]["content"] else "Hello."
    asking = client(chat.url, tmp_path)
    for number in range(DOWN_AFTER - 1):
        with pytest.raises(Unanswered, match="judge refused the request"):
            asking.ask(str(number), Question(("a",), "Compare pictures."), str)
        assert asking.ask(str(number), Question(("a",), "Compare texts."), str) == "Hello."
    with pytest.raises(EndpointError, match="refused 8 requests in a row"):
        asking.ask("last", Question(("a",), "Compare pictures."), str)


def test_a_dry_run_counts_pictures_by_their_size(chat, tmp_path):
    dry = client(chat.url, tmp_path, dry_run=True)
    with pytest.raises(Unanswered, match="dry run"):
        dry.ask("", Question(("word " * 20, png(750, 100)), schema=SCHEMA), str)
    assert (len(chat.seen), dry.meter.asked, dry.meter.input_tokens) == (0, 1, 30 + 100)
    assert dry.meter.cost == pytest.approx(130 / 1e6)
    assert str(dry.meter) == "1 requests, 0 replies from the cache, 130 tokens in, 50 out, cost 0.00"


OLD_LIMIT = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
OWN_TEMPERATURE = (
    "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) is supported."
)


def reasoning_model(body):
    """As OpenAI's reasoning models answer: one complaint at a time."""
    if "max_tokens" in body:
        return 400, OLD_LIMIT
    return (400, OWN_TEMPERATURE) if "temperature" in body else "yes"


def test_settings_that_are_refused_by_name_are_changed_once_and_told(chat, tmp_path):
    chat.reply = reasoning_model
    asking = client(chat.url, tmp_path)
    assert [asking.ask(key, Question(("a",), schema=SCHEMA), str) for key in "abc"] == ["yes"] * 3
    settings = [{"max_tokens", "max_completion_tokens", "temperature"} & body.keys() for body in chat.seen]
    taken = {"max_completion_tokens"}
    assert settings == [{"max_tokens", "temperature"}, taken | {"temperature"}, taken, taken, taken]
    assert chat.seen[-1]["max_completion_tokens"] == 100
    assert all("response_format" in body for body in chat.seen)
    assert asking.not_taken == {"temperature"}
    from_cache = client(chat.url, tmp_path)
    assert from_cache.ask("a", Question(("a",), schema=SCHEMA), str) == "yes"
    assert (len(chat.seen), from_cache.not_taken) == (5, {"temperature"})


def test_other_refusals_change_no_setting(chat, tmp_path):
    chat.script = [(400, "This model's maximum context length is 10 tokens: lower max_tokens.")]
    asking = client(chat.url, tmp_path)
    with pytest.raises(Unanswered, match="judge refused the request"):
        asking.ask("0", Question(("a",)), str)
    assert asking.ask("1", Question(("a",)), str) == "Hello."
    assert {"max_tokens", "temperature"} <= chat.seen[-1].keys()
    assert asking.not_taken == set()


def test_an_engine_asks_again_with_another_limit_of_tokens(chat, tmp_path):
    engine = OpenAIEngine(Endpoint(url=chat.url, timeout_seconds=5, retries=2), "m", tmp_path)
    for limit in (100, 200):
        generate(engine, [()], ["a"], limit)
    assert [body["max_tokens"] for body in chat.seen] == [100, 200]


def test_a_reply_that_was_cut_off_before_any_answer_is_paid_for_and_not_kept(chat, tmp_path):
    chat.reply = completion("", "length")
    for _ in range(2):
        asking = client(chat.url, tmp_path)
        with pytest.raises(Unanswered, match="judge's reply was cut off at 100 tokens, before any answer"):
            asking.ask("", Question(("a",)), str)
        assert asking.meter.output_tokens == 50
    assert len(chat.seen) == 2
    chat.reply = completion("half an ans", "length")
    assert client(chat.url, tmp_path).ask("", Question(("a",)), str) == "half an ans"


def test_another_limit_of_tokens_is_another_question(chat, tmp_path):
    chat.reply = "{"
    for _ in range(2):
        with pytest.raises(Unanswered, match="cannot be read"):
            client(chat.url, tmp_path).ask("", Question(("a",)), json.loads)
    chat.reply = "7"
    assert client(chat.url, tmp_path, max_tokens=8192).ask("", Question(("a",)), json.loads) == 7
    assert [body["max_tokens"] for body in chat.seen] == [100, 100, 100, 8192]


def test_no_key_is_sent_but_the_one_that_is_named(chat, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("OTHER_KEY", "other")
    client(chat.url, tmp_path).ask("", Question(("a",)), str)
    assert chat.keys == {"m": {"none"}}
    client(chat.url, tmp_path, key_variable="OTHER_KEY").ask("", Question(("b",)), str)
    assert chat.keys == {"m": {"none", "other"}}


def test_a_limit_of_cost_that_would_never_be_reached_is_refused(chat, tmp_path):
    with pytest.raises(ValueError, match="max_cost needs input_price or output_price"):
        client(chat.url, tmp_path, input_price=0, max_cost=0.01)
    chat.reply = json.dumps(json.loads(completion("Hello.")) | {"usage": None}).encode()
    with pytest.raises(EndpointError, match="does not tell what tokens a reply took"):
        client(chat.url, tmp_path, max_cost=0.01).ask("", Question(("a",)), str)
    assert client(chat.url, tmp_path).ask("", Question(("b",)), str) == "Hello."


def test_what_was_paid_for_before_counts_toward_what_may_be_paid(chat, tmp_path):
    paid = tmp_path / "paid.jsonl"
    limited = {"input_price": 1e4, "max_cost": 2.5, "paid": paid}  # a reply costs 1
    first = client(chat.url, tmp_path, **limited)
    for number in range(2):
        first.ask(str(number), Question(("a",)), str)
    with paid.open("a") as file:
        file.write('{"key": "3", "inp')  # killed
    second = client(chat.url, tmp_path, **limited)
    assert (second.meter.cost, second.spent.cost) == (0.0, 2.0)
    second.ask("0", Question(("a",)), str)
    chat.reply = completion("", "length")
    with pytest.raises(Unanswered):
        second.ask("2", Question(("a",)), str)
    for _ in range(2):
        again = client(chat.url, tmp_path, **limited)
        with pytest.raises(EndpointError, match=r"the judge has cost 3\.00, and max_cost is 2\.50"):
            again.ask("2", Question(("a",)), str)
    assert len(chat.seen) == 3
    chat.reply = "Hello."
    assert client(chat.url, tmp_path, **limited | {"max_cost": 4.0}).ask("2", Question(("a",)), str) == "Hello."
    other = client(chat.url, tmp_path, **limited | {"paid": tmp_path / "other.jsonl"})
    assert (other.ask("2", Question(("a",)), str), other.spent.cost) == ("Hello.", 0.0)
